"""The events of an app: what is listed, by whom, and the filters."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.cli.render import events as render
from orchestrator.errors import UsageError
from orchestrator.reports.catalog import report_schema
from orchestrator.reports.events import KINDS, Filters, events
from orchestrator.reports.serialize import document
from orchestrator.watch.notices import send_notice
from tests.fakes.world import APP, Crash, World
from tests.unit.reports.conforming import conforms
from tests.unit.stage import Stage


def a_history(world: World) -> None:
    """Two releases, a repair by the watchdog, a container that ended, a problem and its end, a notification."""
    world.more = '[notify]\nurls = ["json://127.0.0.1:1/"]\n'
    world.release("v1")
    world.release("v2")
    (live,) = [each for each in world.workloads.containers(APP) if each.version == "v2"]
    world.engine.change(live, state="exited", exit_code=1)
    world.time += 60
    world.watch()
    world.engine.change(live, restarts=2)
    world.time += 60
    world.watch()
    world.prober.unready.add("v2")
    world.watch()
    world.prober.unready.clear()
    world.watch()
    send_notice(world.services, world.config(), "recovered", "v2", "it is well")
    world.notifier.why = "status 403"
    send_notice(world.services, world.config(), "recovered", "v2", "it is well")


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world(a_history)


def listed(world: World, limit: int = 100, **filters: Any) -> list[tuple[str, str | None, str | None, str]]:
    report = events(world.services, APP, limit, Filters(**filters))
    return [(each.kind, each.by, each.version, each.text) for each in report.events]


NAME = "mymodel-v2-green-1"


def test_everything_that_happened_is_listed_newest_first(world: World) -> None:
    rows = listed(world)
    actor = world.services.actor(world.folder)
    unready = "3 of 3 probes failed, last: HTTP 503"
    assert [row for row in rows if row[0] != "stable"] == [
        ("notification-failed", None, "v2", "the notification 'recovered' was not delivered: status 403"),
        ("notified", None, "v2", "the notification 'recovered' was delivered"),
        ("recovered", "watchdog", "v2", "mymodel has recovered"),
        (
            "degraded",
            "watchdog",
            "v2",
            f"{NAME} is not ready: {unready}; next: check what it depends on (deployctl logs v2)",
        ),
        ("ended", "engine", "v2", f"{NAME} exited 2 times, and the engine restarted it"),
        ("healed", "watchdog", "v2", f"{NAME} started again: it exited with exit code 1"),
        ("release", actor, "v2", "v1 to v2: succeeded"),
        ("release", actor, "v1", "nothing to v1: succeeded"),
    ]
    assert [row[2] for row in rows if row[0] == "stable"] == ["v2", "v1"]
    assert {row[0] for row in rows} <= set(KINDS)


def test_the_filters(world: World) -> None:
    assert [row[0] for row in listed(world, kinds=("healed", "ended"))] == ["ended", "healed"]
    assert {row[1] for row in listed(world, by="watchdog")} == {"watchdog"}
    assert [row[0] for row in listed(world, by="engine")] == ["ended"]
    assert {row[2] for row in listed(world, version="v1")} == {"v1"}
    assert [row[0] for row in listed(world, 2)] == ["notification-failed", "notified"]
    newest = events(world.services, APP, 1, Filters()).events[0]
    healed = events(world.services, APP, 1, Filters(("healed",))).events[0]
    assert "release" not in {row[0] for row in listed(world, since=healed.at)}
    assert "ended" in {row[0] for row in listed(world, since=healed.at)}
    assert listed(world, since=newest.at[:-1] + "~") == []
    with pytest.raises(UsageError, match="--kind odd: there are no such events"):
        listed(world, kinds=("odd",))


def test_all_pages_are_read(world: World) -> None:
    for number in range(1200):
        world.ledger.event(APP, "textfile-failed", {"why": str(number)})
    assert [row[0] for row in listed(world, kinds=("healed",))] == ["healed"]
    assert len(listed(world, 2000, kinds=("textfile-failed",))) == 1200


def test_a_deployment_in_progress_is_listed_once(world: World) -> None:
    def crash(when: str, step: str) -> None:
        if (when, step) == ("acted", "start"):
            raise Crash

    world.boundary = crash
    with pytest.raises(Crash):
        world.release("v3")
    assert listed(world, version="v3", kinds=("release",))[0][3] == "v2 to v3: in progress"
    world.boundary = lambda when, step: None
    world.recover()
    rows = listed(world, version="v3", kinds=("release",))
    assert [row[3].partition(": ")[2].split(":")[0] for row in rows] == ["undone"]


def test_an_event_of_an_unknown_kind_is_listed_with_what_it_says(world: World) -> None:
    world.ledger.event(APP, "odd", {"version": "v1", "colour": "\x1b[31mred"})
    assert listed(world, 1) == [("odd", None, "v1", "version: v1; colour: \x1b[31mred")]


def test_the_report_conforms_to_its_schema_and_is_shown(world: World) -> None:
    report = events(world.services, APP, 100, Filters())
    conforms(document(report), report_schema("events"))
    assert render.events(report).row_count == len(report.events)
