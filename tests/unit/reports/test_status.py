"""The reports of an app: each conforms to its schema, also in its largest form."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from orchestrator.cli.render import tree as render
from orchestrator.cli.render.history import progress
from orchestrator.cli.render.status import status as render_status
from orchestrator.domain.rollout.way_back import WayBack
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import UsageError
from orchestrator.release.maintenance import begin
from orchestrator.release.recover import recover
from orchestrator.reports.catalog import report_schema
from orchestrator.reports.doctor import doctor
from orchestrator.reports.estimate import estimate
from orchestrator.reports.history import history
from orchestrator.reports.logs import find_logs, logs
from orchestrator.reports.maintenance import maintenance
from orchestrator.reports.metrics import collect
from orchestrator.reports.plan import preview
from orchestrator.reports.proxy import proxy_report, proxy_status
from orchestrator.reports.serialize import document
from orchestrator.reports.status import status
from orchestrator.reports.versions import lineage, show
from orchestrator.reports.who_was_live import who_was_live
from tests.fakes.world import APP, Crash, World
from tests.unit.reports.conforming import conforms


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    made.release("v1")
    yield made
    made.close()


def test_a_long_lineage_shows_its_newest_versions(world: World) -> None:
    first = world.ledger.versions(APP)["v1"]
    for number in range(2, 1500):
        world.ledger.record_version(replace(first, name=f"v{number}", parent=f"v{number - 1}"))
    report = lineage(world.process(), APP)
    assert report.older == 1299
    (root,) = report.versions
    assert (root.version, root.parent) == ("v1300", "v1299")
    depth, row = 1, root
    while row.children:
        depth, row = depth + 1, row.children[0]
    assert (depth, row.version) == (200, "v1499")
    assert render.tree(report).plain.splitlines()[-1] == "└─ and 1299 older versions"
    assert lineage(world.process(), APP, 3).older == 1496
    # The serializer is as deep as the tree.
    assert document(report)["versions"][0]["version"] == "v1300"


# --- every report conforms to its schema -------------------------------------------------------------------------


def reports(world: World) -> dict[str, Any]:
    services = world.process()
    now = world.now()
    return {
        "status": status(services, APP, "127.0.0.1:8000"),
        "history": history(services, APP, 50),
        "tree": lineage(services, APP),
        "show": show(services, APP, "v1"),
        "who-was-live": who_was_live(services, APP, now, now),
        "doctor": doctor(services, world.config()),
        "metrics": collect(services, [APP])[0],
        "logs": logs(services, find_logs(services, APP, "v1"), tail=10),
        "proxy status": proxy_status(services),
        "proxy up": proxy_report(services),
        "maintenance": maintenance(services, APP),
    }


def wrong(world: World) -> dict[str, list[str]]:
    return {
        name: differences
        for name, report in reports(world).items()
        if (differences := conforms(json.loads(json.dumps(document(report))), report_schema(name)))
    }


def test_every_report_of_a_stable_app_conforms(world: World) -> None:
    world.release("v2")
    assert wrong(world) == {}
    report = document(status(world.process(), APP, ""))
    assert (report["state"], report["candidate"], report["rollout"]) == ("stable", None, None)
    assert report["previous"]["rollback"] == {"mode": "switch", "seconds": ANY, "containers_kept": True, "drill": None}
    assert report["traffic"] == {
        "live": "green",
        "candidate": None,
        "share": 0.0,
        # As long as the previous version is warm.
        "shield": True,
        "preview": False,
        "held": False,
    }
    world.time += 601
    world.recover()
    assert document(status(world.process(), APP, ""))["traffic"]["shield"] is False
    assert document(history(world.process(), APP, 1))["rollouts"] == []


def test_every_report_of_an_app_in_maintenance_conforms(world: World) -> None:
    begin(world.process(), world.config(), Maintenance("back at 10", 60, 2.5))
    assert wrong(world) == {}
    shown = document(status(world.process(), APP, ""))["maintenance"]
    assert shown == document(maintenance(world.process(), APP))["maintenance"]
    assert (shown["message"], shown["retry_after"], shown["hold"]) == ("back at 10", 60, 2.5)


def way(world: World) -> dict[str, Any]:
    found: dict[str, Any] = document(status(world.process(), APP, ""))["previous"]
    return {**found["rollback"], "until": found["warm_until"] is not None}


def test_a_warm_version_whose_standby_time_is_over_is_not_called_warm(world: World) -> None:
    world.release("v2")
    assert (way(world)["mode"], way(world)["until"]) == ("switch", True)
    world.time += 601
    assert (way(world)["mode"], way(world)["until"]) == ("start", False)


def test_a_warm_version_stays_while_its_successor_is_not_healthy(world: World) -> None:
    world.release("v2")
    (v2,) = (c for c in world.workloads.containers(APP) if c.version == "v2")
    world.proxy.failing.add((APP, "green"))
    world.time += 601
    assert way(world)["mode"] == "switch"
    assert v2.running
    recover(world.process(), APP)
    assert world.ledger.slots(APP)["blue"].state == "warm"
    world.proxy.failing.clear()
    assert recover(world.process(), APP).repaired == ["v1 stopped: its rollout.keep_warm time is over"]


def test_a_start_is_not_estimated_from_a_switch(world: World) -> None:
    world.release("v2")
    slow = 30.0
    [first] = [each for each in world.ledger.deployments(APP, 9) if each.to_version == "v1"]
    with closing(sqlite3.connect(world.folder / "ledger.db")) as db:
        db.execute("UPDATE steps SET seconds = ? WHERE deployment = ? AND name = 'probe'", (slow, first.id))
        db.commit()
    world.rollback()  # a switch
    cold = WayBack("v1", "blue", "start", True)
    assert slow < (estimate(world.process(), APP, cold) or 0) < slow + 5
    warm = estimate(world.process(), APP, WayBack("v1", "blue", "switch", True))
    assert warm is not None and warm < 5
    assert estimate(world.process(), APP, WayBack("v1", "blue", "gone", False)) is None
    assert estimate(world.process(), APP, WayBack("v9", "blue", "start", False)) is None


def test_every_report_of_a_baking_app_conforms(world: World) -> None:
    world.bake = "2m"
    world.release("v2")
    assert wrong(world) == {}
    report = document(status(world.process(), APP, ""))
    assert (report["state"], report["bake"]["traffic"]["requests"]) == ("baking", 0)
    assert (report["traffic"]["live"], report["traffic"]["shield"]) == ("green", True)


def test_every_report_of_an_interrupted_app_conforms(world: World) -> None:
    def boundary(when: str, step: str) -> None:
        if step == "probe":
            raise Crash

    world.boundary = boundary
    with pytest.raises(Crash):
        world.release("v2")
    world.boundary = lambda when, step: None
    assert wrong(world) == {}
    report = document(status(world.process(), APP, ""))["deployment"]
    assert (report["from"], report["to"], report["running"], report["holder"]) == ("v1", "v2", False, None)
    newest = history(world.process(), APP, 1).deployments[0]
    assert (newest.outcome, newest.interrupted, progress(newest)) == (None, True, "interrupted")
    notes = preview(world.process(), world.config(), "release", "v3", ref=None).notes
    assert notes[0].startswith(
        "deployment 2, the release to v2, was interrupted: the next command finishes or undoes it first"
    )
    with world.process().locks.app(APP):
        newest = history(world.process(), APP, 1).deployments[0]
        assert (newest.interrupted, progress(newest)) == (False, "in progress")
        notes = preview(world.process(), world.config(), "release", "v3", ref=None).notes
        assert notes[0].startswith("deployment 2, the release to v2, is in progress")
    world.recover()
    assert not any(each.interrupted for each in history(world.process(), APP, 9).deployments)
    assert preview(world.process(), world.config(), "release", "v3", ref=None).notes == ()


def test_a_proxy_that_is_down_is_not_blamed_on_the_model(world: World) -> None:
    world.edge.down()
    report = status(world.process(), APP, "")
    assert (report.state, report.proxy.state) == ("degraded", "missing")
    assert [text for text in report.problems if "mymodel-v1" in text] == []
    assert report.live is not None and [each.healthy for each in report.live.containers] == [None]
    assert "mymodel-v1-blue-1 running, health unknown, 0 restarts" in render_status(report)
    assert wrong(world) == {}
    [container] = world.workloads.containers(APP)
    world.engine.change(container, state="exited")
    report = status(world.process(), APP, "")
    assert any(text.startswith("mymodel-v1-blue-1 has exited") for text in report.problems)
    assert report.live is not None and [each.healthy for each in report.live.containers] == [False]


def test_the_health_of_the_live_version_is_not_that_of_the_route(world: World) -> None:
    world.release("v2")
    assert world.proxy.running is not None
    world.proxy.running[APP] = TrafficState(live="blue")
    world.proxy.failing.add((APP, "green"))
    report = status(world.process(), APP, "")
    assert report.live is not None and [each.healthy for each in report.live.containers] == [False]
    assert "mymodel-v2-green-1 runs, but the proxy reports DOWN: deployctl logs" in report.problems


@pytest.mark.parametrize("action", ["release", "rollback"])
def test_a_plan_conforms(world: World, action: str) -> None:
    world.release("v2")
    (world.folder / "Dockerfile").touch()
    report = document(preview(world.process(), world.config(), action, None, ref=None))
    assert conforms(json.loads(json.dumps(report)), report_schema("plan")) == []
    assert (report["kind"], report["from"]) == (action, "v2")
    assert all(step["description"] for step in report["steps"])
    assert (report["estimate_seconds"] is None) == (action == "release")


def test_an_unknown_plan_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="invalid action 'dance'"):
        preview(world.process(), world.config(), "dance", None, ref=None)
