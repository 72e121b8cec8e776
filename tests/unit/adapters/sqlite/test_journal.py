"""The record of deployments and their steps, in real SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import StorageError
from tests.unit.adapters.sqlite.helpers import PLAN, begin
from tests.unit.builders import APP, version


def test_an_app_has_one_open_deployment(ledger: SqliteLedger) -> None:
    first = begin(ledger)
    with pytest.raises(StorageError, match="UNIQUE constraint failed"):
        begin(ledger)
    deployment = ledger.open_deployment(APP)
    assert deployment is not None
    assert deployment.id == first
    ledger.finish(first, "failed", "why")
    assert ledger.open_deployment(APP) is None
    assert begin(ledger) > first


def test_two_apps_may_deploy_at_once(ledger: SqliteLedger) -> None:
    ledger.app_number("other")
    begin(ledger)
    begin(ledger, replace(PLAN, app="other"))
    assert ledger.open_deployment("other") is not None


def test_a_deployment_comes_back_as_it_was(ledger: SqliteLedger) -> None:
    deployment = ledger.deployment(APP, begin(ledger))
    assert deployment is not None
    facts = (deployment.kind, deployment.from_version, deployment.to_version, deployment.from_slot)
    assert facts == ("release", "v1", "v2", "blue")
    assert (deployment.to_slot, deployment.mode) == ("green", "create")
    assert (deployment.actor, deployment.command, deployment.config) == ("somebody", "deployctl release", {"a": 1})
    assert (deployment.outcome, deployment.finished_at, deployment.reason) == (None, None, "")
    assert ledger.deployment("other", deployment.id) is None
    assert ledger.plan_of(deployment.id) == PLAN
    ledger.finish(deployment.id, "failed", "why")
    closed = replace(PLAN, before=replace(PLAN.before, maintenance=Maintenance("back at 10", 60, 2.5)))
    assert ledger.plan_of(begin(ledger, closed)) == closed


@pytest.mark.parametrize(
    "before",
    [TrafficState(), TrafficState(live="blue", candidate="green", share=2_500, shield=True, preview=True, held=True)],
)
def test_a_plan_with_every_kind_of_argument(ledger: SqliteLedger, before: TrafficState) -> None:
    steps = (("probe", {"version": "v2", "slot": "green", "warm": True}), ("retire", {"keep_warm": 0.5, "why": None}))
    plan = replace(PLAN, from_version=None, from_slot=None, before=before, steps=steps)
    assert ledger.plan_of(begin(ledger, plan)) == plan


def test_the_outcome_is_written_once(ledger: SqliteLedger) -> None:
    number = begin(ledger)
    ledger.finish(number, "failed", "it never became ready")
    ledger.finish(number, "succeeded", "")
    deployment = ledger.deployment(APP, number)
    assert deployment is not None
    assert (deployment.outcome, deployment.reason) == ("failed", "it never became ready")
    assert deployment.finished_at


def test_deployments_come_newest_first_whatever_the_clock_says(tmp_path: Path) -> None:
    times = iter(["2031", "2030", "2030", "2029", "2029", "2028"] * 3)
    ledger = SqliteLedger(tmp_path / "ledger.db", now=lambda: next(times))
    ledger.app_number(APP)
    for _ in range(4):
        ledger.finish(begin(ledger), "succeeded", "")
    assert [deployment.id for deployment in ledger.deployments(APP)] == [4, 3, 2, 1]
    assert [deployment.id for deployment in ledger.deployments(APP, 2)] == [4, 3]
    assert [deployment.id for deployment in ledger.deployments(APP, -1)] == [4, 3, 2, 1]
    ledger.close()


def test_deployments_are_counted_by_kind_and_outcome(ledger: SqliteLedger) -> None:
    assert ledger.deployment_counts(APP) == []
    ledger.app_number("other")
    begin(ledger, replace(PLAN, app="other"))
    for kind, outcome in (("release", "succeeded"), ("release", "failed"), ("rollback", "undone")):
        ledger.finish(begin(ledger, replace(PLAN, kind=kind)), outcome, "")  # type: ignore[arg-type]
    ledger.finish(begin(ledger), "succeeded", "")
    last = ledger.deployments(APP)[0].finished_at
    begin(ledger)  # still open: it is not counted
    counts = ledger.deployment_counts(APP)
    assert [(row.kind, row.outcome, row.count) for row in counts] == [
        ("release", "failed", 1),
        ("release", "succeeded", 2),
        ("rollback", "undone", 1),
    ]
    assert counts[1].last == last
    assert ledger.deployment_counts("other") == []


def test_the_steps_of_a_deployment(ledger: SqliteLedger) -> None:
    number = begin(ledger)
    first = ledger.step_started(number, "build", {"version": "v2"}, undo=False)
    (row,) = ledger.steps(number)
    assert (row.seq, row.name, row.args, row.undo, row.state) == (1, "build", {"version": "v2"}, False, "started")
    assert (row.finished_at, row.detail, row.seconds) == (None, {}, None)
    ledger.step_finished(first, "failed", {"error": "why"}, 1.5)
    ledger.step_started(number, "settle", {}, undo=True)
    rows = ledger.steps(number)
    assert [(row.seq, row.name, row.undo, row.state) for row in rows] == [
        (1, "build", False, "failed"),
        (2, "settle", True, "started"),
    ]
    assert rows[0].detail == {"error": "why"}
    assert rows[0].finished_at
    assert rows[0].seconds == 1.5


def test_a_step_of_no_deployment_is_refused(ledger: SqliteLedger) -> None:
    with pytest.raises(StorageError, match="FOREIGN KEY"):
        ledger.step_started(99, "build", {}, undo=False)


def test_the_step_that_ends_a_deployment_is_sealed_with_it(ledger: SqliteLedger) -> None:
    number = begin(ledger)
    last = ledger.step_started(number, "settle", {}, undo=False)
    ledger.finish(number, "succeeded", "")
    ledger.step_finished(last, "done", {}, 0.1)
    assert ledger.audit()[1] == []


def test_placements_are_read_from_a_damaged_record(ledger: SqliteLedger) -> None:
    ledger.finish(begin(ledger), "succeeded", "")
    begin(ledger, replace(PLAN, to_version="v3", to_slot="blue"))
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("UPDATE deployments SET config = 'no JSON', actor = CAST(X'FF41' AS TEXT)")
    assert ledger.placements(APP) == {1: ("v2", "green"), 2: ("v3", "blue")}
    assert ledger.placements("other") == {}


def test_the_versions_that_were_left_by_a_rollback(ledger: SqliteLedger) -> None:
    def moved(kind: str, before: str, after: str, outcome: str = "succeeded") -> None:
        plan = replace(PLAN, kind=kind, from_version=before, to_version=after)  # type: ignore[arg-type]
        ledger.finish(begin(ledger, plan), outcome, "")  # type: ignore[arg-type]

    for name in ("v1", "v2", "v3"):
        ledger.record_version(version(name))
    moved("release", "v1", "v2")
    assert ledger.left_by_rollback(APP) == set()
    moved("rollback", "v2", "v1", "failed")
    assert ledger.left_by_rollback(APP) == set(), "the traffic stayed"
    moved("rollback", "v2", "v1")
    moved("auto-rollback", "v3", "v1")
    assert ledger.left_by_rollback(APP) == {"v2", "v3"}
    moved("release", "v2", "v3")
    assert ledger.left_by_rollback(APP) == {"v3"}, "the last time counts"
