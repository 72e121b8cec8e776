"""The metrics for Prometheus: the exact text, and the source of each number."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import __version__
from orchestrator.domain.rollout.deployment import DeploymentCount
from orchestrator.domain.traffic.program import Refusals
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.domain.watch.passes import Pass
from orchestrator.errors import EngineError, EngineUnreachable, StorageError, UsageError
from orchestrator.reports import prometheus as core
from orchestrator.reports.metrics import MetricsReport, collect, write_textfile
from orchestrator.reports.prometheus import FAMILIES, Facts, Seen, metrics, text
from orchestrator.reports.serialize import document
from tests.fakes.world import APP, World

DOCS = Path(__file__).parents[3] / "docs"
FACTS = Facts(
    app="mymodel",
    program="1.2.3",
    engine_up=True,
    live=SlotState("mymodel", "green", "v2", 7, "live", "2031-05-06T07:08:09.123Z"),
    seen=Seen(
        "stable",
        running=2,
        others=1,
        restarts=3,
        problems=0,
        rollback=True,
        refused=Refusals("127.0.0.1:8000", denied=4, unreadable=5, answers=6),
        shields={"v2": (12, 1)},
    ),
    marks={"live": 1, "stable": 2},
    deployments=[DeploymentCount("release", "succeeded", 2, "2031-05-06T07:08:09.000Z")],
    counts={"pass:healthy": 40, "pass:odd": 1, "skipped": 2, "healed": 3, "auto-rollback": 1, "notification": 5},
    last=Pass("2031-05-06T07:09:00.500Z", 0.25, "failed"),
    good=Pass("2031-05-06T07:08:00.000Z", 0.25, "healthy"),
)
TEXT = """\
# HELP deployctl_build_info The version of deployctl; always 1.
# TYPE deployctl_build_info gauge
deployctl_build_info{app="mymodel",version="1.2.3"} 1
# HELP deployctl_engine_up Whether the Docker engine answered.
# TYPE deployctl_engine_up gauge
deployctl_engine_up{app="mymodel"} 1
# HELP deployctl_app_live_info Which version is live, and in which slot; always 1.
# TYPE deployctl_app_live_info gauge
deployctl_app_live_info{app="mymodel",version="v2",slot="green"} 1
# HELP deployctl_app_live_since_timestamp_seconds When the live version became live.
# TYPE deployctl_app_live_since_timestamp_seconds gauge
deployctl_app_live_since_timestamp_seconds{app="mymodel"} 1935817689.123
# HELP deployctl_app_state 1 for the state of the app, 0 for the others.
# TYPE deployctl_app_state gauge
deployctl_app_state{app="mymodel",state="empty"} 0
deployctl_app_state{app="mymodel",state="deploying"} 0
deployctl_app_state{app="mymodel",state="preview"} 0
deployctl_app_state{app="mymodel",state="canary"} 0
deployctl_app_state{app="mymodel",state="held"} 0
deployctl_app_state{app="mymodel",state="baking"} 0
deployctl_app_state{app="mymodel",state="stable"} 1
deployctl_app_state{app="mymodel",state="degraded"} 0
deployctl_app_state{app="mymodel",state="maintenance"} 0
# HELP deployctl_app_problems How many problems status finds.
# TYPE deployctl_app_problems gauge
deployctl_app_problems{app="mymodel"} 0
# HELP deployctl_app_containers Containers of the live version: running, and others.
# TYPE deployctl_app_containers gauge
deployctl_app_containers{app="mymodel",state="running"} 2
deployctl_app_containers{app="mymodel",state="other"} 1
# HELP deployctl_app_container_restarts Restarts of the live version's containers by the engine since their \
creation.
# TYPE deployctl_app_container_restarts gauge
deployctl_app_container_restarts{app="mymodel"} 3
# HELP deployctl_app_rollback_possible Whether a rollback is possible.
# TYPE deployctl_app_rollback_possible gauge
deployctl_app_rollback_possible{app="mymodel"} 1
# HELP deployctl_shield_rescued_total Failures of a version that the older one answered, by version.
# TYPE deployctl_shield_rescued_total counter
deployctl_shield_rescued_total{app="mymodel",version="v2"} 12
# HELP deployctl_shield_lost_total Failures of a shielded version that reached clients, by version.
# TYPE deployctl_shield_lost_total counter
deployctl_shield_lost_total{app="mymodel",version="v2"} 1
# HELP deployctl_proxy_refused_total What the proxy refused at the app's address since its workers started, by kind.
# TYPE deployctl_proxy_refused_total counter
deployctl_proxy_refused_total{app="mymodel",what="denied"} 4
deployctl_proxy_refused_total{app="mymodel",what="unreadable"} 5
deployctl_proxy_refused_total{app="mymodel",what="answers"} 6
# HELP deployctl_versions Versions by their mark.
# TYPE deployctl_versions gauge
deployctl_versions{app="mymodel",mark="live"} 1
deployctl_versions{app="mymodel",mark="stable"} 2
deployctl_versions{app="mymodel",mark="not stable"} 0
deployctl_versions{app="mymodel",mark="rolled back"} 0
deployctl_versions{app="mymodel",mark="bad"} 0
deployctl_versions{app="mymodel",mark="pruned"} 0
deployctl_versions{app="mymodel",mark="never live"} 0
# HELP deployctl_deployments_total Finished deployments, by kind and outcome.
# TYPE deployctl_deployments_total counter
deployctl_deployments_total{app="mymodel",kind="release",outcome="succeeded"} 2
deployctl_deployments_total{app="mymodel",kind="release",outcome="failed"} 0
deployctl_deployments_total{app="mymodel",kind="release",outcome="undone"} 0
deployctl_deployments_total{app="mymodel",kind="promote",outcome="succeeded"} 0
deployctl_deployments_total{app="mymodel",kind="promote",outcome="failed"} 0
deployctl_deployments_total{app="mymodel",kind="promote",outcome="undone"} 0
deployctl_deployments_total{app="mymodel",kind="abort",outcome="succeeded"} 0
deployctl_deployments_total{app="mymodel",kind="abort",outcome="failed"} 0
deployctl_deployments_total{app="mymodel",kind="abort",outcome="undone"} 0
deployctl_deployments_total{app="mymodel",kind="rollback",outcome="succeeded"} 0
deployctl_deployments_total{app="mymodel",kind="rollback",outcome="failed"} 0
deployctl_deployments_total{app="mymodel",kind="rollback",outcome="undone"} 0
deployctl_deployments_total{app="mymodel",kind="auto-rollback",outcome="succeeded"} 0
deployctl_deployments_total{app="mymodel",kind="auto-rollback",outcome="failed"} 0
deployctl_deployments_total{app="mymodel",kind="auto-rollback",outcome="undone"} 0
deployctl_deployments_total{app="mymodel",kind="drill",outcome="succeeded"} 0
deployctl_deployments_total{app="mymodel",kind="drill",outcome="failed"} 0
deployctl_deployments_total{app="mymodel",kind="drill",outcome="undone"} 0
# HELP deployctl_deployment_last_timestamp_seconds When the last deployment of this kind and outcome ended.
# TYPE deployctl_deployment_last_timestamp_seconds gauge
deployctl_deployment_last_timestamp_seconds{app="mymodel",kind="release",outcome="succeeded"} 1935817689
# HELP deployctl_watchdog_passes_total Passes of the watchdog, by outcome.
# TYPE deployctl_watchdog_passes_total counter
deployctl_watchdog_passes_total{app="mymodel",outcome="healthy"} 40
deployctl_watchdog_passes_total{app="mymodel",outcome="acted"} 0
deployctl_watchdog_passes_total{app="mymodel",outcome="degraded"} 0
deployctl_watchdog_passes_total{app="mymodel",outcome="failed"} 0
deployctl_watchdog_passes_total{app="mymodel",outcome="skipped"} 2
deployctl_watchdog_passes_total{app="mymodel",outcome="odd"} 1
# HELP deployctl_watchdog_healed_total Containers that the watchdog repaired.
# TYPE deployctl_watchdog_healed_total counter
deployctl_watchdog_healed_total{app="mymodel"} 3
# HELP deployctl_watchdog_auto_rollbacks_total Rollbacks that the watchdog started.
# TYPE deployctl_watchdog_auto_rollbacks_total counter
deployctl_watchdog_auto_rollbacks_total{app="mymodel"} 1
# HELP deployctl_watchdog_last_pass_timestamp_seconds When the last pass was.
# TYPE deployctl_watchdog_last_pass_timestamp_seconds gauge
deployctl_watchdog_last_pass_timestamp_seconds{app="mymodel"} 1935817740.5
# HELP deployctl_watchdog_last_success_timestamp_seconds When the last pass that left the app healthy was; 0 when \
there was none.
# TYPE deployctl_watchdog_last_success_timestamp_seconds gauge
deployctl_watchdog_last_success_timestamp_seconds{app="mymodel"} 1935817680
# HELP deployctl_watchdog_pass_duration_seconds How long the last pass took.
# TYPE deployctl_watchdog_pass_duration_seconds gauge
deployctl_watchdog_pass_duration_seconds{app="mymodel"} 0.25
# HELP deployctl_notifications_total Notifications, by outcome.
# TYPE deployctl_notifications_total counter
deployctl_notifications_total{app="mymodel",outcome="sent"} 5
deployctl_notifications_total{app="mymodel",outcome="failed"} 0
"""


# --- the text ----------------------------------------------------------------------------------------------------


def test_the_text() -> None:
    assert text(metrics([FACTS])) == TEXT
    assert {line.split()[2] for line in TEXT.splitlines() if line.startswith("# TYPE")} == set(FAMILIES)


def test_the_samples_of_one_metric_are_adjacent() -> None:
    shown = text(metrics([FACTS, replace(FACTS, app="other", live=None)]))
    assert 'deployctl_engine_up{app="mymodel"} 1\ndeployctl_engine_up{app="other"} 1\n' in shown
    assert shown.count("# TYPE") == len(FAMILIES)
    assert 'deployctl_app_live_info{app="other"' not in shown


def test_without_apps_the_text_is_empty() -> None:
    assert text(metrics([])) == ""


def test_unknown_values_are_left_out() -> None:
    shown = text(metrics([replace(FACTS, engine_up=False, seen=None)]))
    assert 'deployctl_engine_up{app="mymodel"} 0\n' in shown
    for name in ("state", "problems", "containers", "container_restarts", "rollback_possible"):
        assert f"deployctl_app_{name}" not in shown
    for name in ("deployctl_app_live_info", "deployctl_deployments_total", "deployctl_watchdog_passes_total"):
        assert f"\n{name}{{" in shown


def test_a_watchdog_that_never_ran_has_no_times_and_one_that_never_succeeded_has_0() -> None:
    never = "deployctl_watchdog_last_success_timestamp_seconds"
    assert never not in text(metrics([replace(FACTS, last=None, good=None)]))
    assert f'{never}{{app="mymodel"}} 0\n' in text(metrics([replace(FACTS, good=None)]))


def test_labels_and_help_are_escaped() -> None:
    evil = 'a\\b"c\nd'
    sample = core.Metric("m", "gauge", "one\\two\nthree", (core.Sample({"app": evil}, 1.5),))
    assert text([sample]) == '# HELP m one\\\\two\\nthree\n# TYPE m gauge\nm{app="a\\\\b\\"c\\nd"} 1.5\n'


def test_json_has_the_same_values() -> None:
    values = {row["name"]: row for row in document(MetricsReport(tuple(metrics([FACTS]))))["metrics"]}
    assert list(values) == list(FAMILIES)
    assert values["deployctl_app_live_info"] == {
        "name": "deployctl_app_live_info",
        "type": "gauge",
        "help": FAMILIES["deployctl_app_live_info"][1],
        "samples": [{"labels": {"app": "mymodel", "version": "v2", "slot": "green"}, "value": 1}],
    }


def test_every_metric_is_described() -> None:
    page = (DOCS / "monitoring.md").read_text()
    assert [name for name in FAMILIES if f"`{name}`" not in page] == []


# --- the sources of the values ---------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def samples(world: World, *apps: str) -> dict[str, float]:
    report, _ = collect(world.process(), apps or (APP,))
    return {
        f"{metric.name.removeprefix('deployctl_')} {' '.join(list(sample.labels.values())[1:])}".strip(): sample.value
        for metric in report.metrics
        for sample in metric.samples
    }


def test_releases_and_a_rollback(world: World) -> None:
    world.release("v1")
    world.time += 60
    world.release("v2")
    since = world.now().timestamp()
    values = samples(world)
    assert values["build_info " + __version__] == 1
    assert values["app_live_info v2 green"] == 1
    assert since - 5 < values["app_live_since_timestamp_seconds"] <= since
    assert (values["app_state stable"], values["app_state degraded"], values["app_problems"]) == (1, 0, 0)
    assert (values["app_containers running"], values["app_containers other"]) == (1, 0)
    assert values["app_rollback_possible"] == 1
    assert (values["versions live"], values["versions stable"], values["versions never live"]) == (1, 1, 0)
    assert values["deployments_total release succeeded"] == 2
    assert since - 5 < values["deployment_last_timestamp_seconds release succeeded"] <= since
    world.rollback()
    values = samples(world)
    assert values["deployments_total rollback succeeded"] == 1
    assert values["app_live_info v1 blue"] == 1
    assert "app_live_info v2 green" not in values
    # v1 has no parent.
    assert values["app_rollback_possible"] == 0


def test_an_app_that_was_never_live(world: World) -> None:
    world.engine.broken_builds.add("v1")
    with pytest.raises(Exception, match="could not be built"):
        world.release("v1")
    values = samples(world)
    assert (values["app_state empty"], values["deployments_total release failed"]) == (1, 1)
    assert not [name for name in values if name.startswith("app_live")]


def test_what_the_proxy_refused(world: World) -> None:
    world.release("v1")
    names = [f"proxy_refused_total {what}" for what in ("denied", "unreadable", "answers")]
    assert [samples(world)[name] for name in names] == [0, 0, 0]
    world.proxy.refused[world.listen] = Refusals(world.listen, 1, 2, 3)
    assert [samples(world)[name] for name in names] == [1, 2, 3]
    world.proxy.paused = True
    assert not set(names) & set(samples(world))


def test_a_version_that_went_bad(world: World) -> None:
    world.release("v1")
    world.release("v2")
    world.rollback()
    world.ledger.mark_bad(APP, "v2", "it failed")
    values = samples(world)
    assert (values["versions bad"], values["versions live"], values["versions stable"]) == (1, 1, 0)


def test_a_bake(world: World) -> None:
    world.release("v1")
    until = "2099-01-01T00:00:00.000Z"
    world.ledger.set_slot(replace(world.ledger.slots(APP)["blue"], bake_until=until))
    values = samples(world)
    assert (values["app_state baking"], values["app_state stable"]) == (1, 0)


def test_a_container_that_died(world: World) -> None:
    world.release("v1")
    (container,) = world.workloads.containers(APP)
    world.engine.change(container, state="exited", restarts=3)
    values = samples(world)
    assert (values["app_containers running"], values["app_containers other"]) == (0, 1)
    assert (values["app_state degraded"], values["app_problems"], values["app_container_restarts"]) == (1, 1, 3)


def test_the_last_success_is_kept_however_many_passes_failed_since(world: World) -> None:
    world.release("v1")
    assert "watchdog_last_pass_timestamp_seconds" not in samples(world)
    world.ledger.record_pass(APP, Pass("2031-01-01T00:00:00.000Z", 0.5, "acted"), {}, {"pass:acted": 1})
    world.ledger._db.execute("PRAGMA synchronous = OFF")  # this test does not depend on the disk
    for _ in range(510):
        world.ledger.record_pass(APP, Pass("2031-01-02T00:00:00.000Z", 0.1, "failed"), {}, {"pass:failed": 1})
    values = samples(world)
    day = 86400
    assert (
        values["watchdog_last_pass_timestamp_seconds"] - values["watchdog_last_success_timestamp_seconds"],
        values["watchdog_passes_total failed"],
        values["watchdog_passes_total acted"],
        values["watchdog_pass_duration_seconds"],
    ) == (day, 510, 1, 0.1)


# --- an engine that does not answer ------------------------------------------------------------------------------


def broken(world: World, error: Exception) -> list[str]:
    """Makes every request to the engine fail with this error; returns the list of requests."""
    asked: list[str] = []

    def state() -> str:
        asked.append("state")
        raise error

    world.edge.state = state  # type: ignore[method-assign]
    return asked


def test_an_engine_that_is_down_is_asked_once(world: World) -> None:
    world.release("v1")
    world.ledger.app_number("other")
    asked = broken(world, EngineUnreachable("the Docker engine does not answer"))
    report, problems = collect(world.process(), [APP, "other"])
    assert [str(problem) for problem in problems] == ["the Docker engine does not answer"]
    assert asked == ["state"]
    written = text(report.metrics)
    assert 'deployctl_engine_up{app="mymodel"} 0\ndeployctl_engine_up{app="other"} 0\n' in written
    assert 'deployctl_app_live_info{app="mymodel",version="v1",slot="blue"} 1\n' in written
    assert "deployctl_app_state" not in written


def test_an_engine_that_refuses_one_request_is_up(world: World) -> None:
    world.release("v1")
    broken(world, EngineError("the engine could not look at the proxy"))
    values = samples(world)
    assert values["engine_up"] == 1
    assert "app_problems" not in values


def test_an_unknown_app_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="there is no app other in the ledger: the apps are: none yet"):
        collect(world.process(), ["other"])


# --- the file ----------------------------------------------------------------------------------------------------


def test_the_textfile_is_readable_by_everybody(world: World, tmp_path: Path) -> None:
    world.release("v1")
    target = tmp_path / "mymodel.prom"
    before = os.umask(0o077)
    try:
        write_textfile(world.process(), APP, target)
    finally:
        os.umask(before)
    assert target.read_text() == text(collect(world.process(), [APP])[0].metrics)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_textfile_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    world.release("v1")
    with pytest.raises(StorageError, match=r"watchdog\.textfile: .*/no/x\.prom cannot be written: No such file"):
        write_textfile(world.process(), APP, tmp_path / "no" / "x.prom")
