"""What a shield has done: in the status while it is on, and in the history and the metrics afterwards."""

from __future__ import annotations

import pytest

from orchestrator.cli.console import Console
from orchestrator.cli.render import history as render_history
from orchestrator.cli.render import status as render_status
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import Slot
from orchestrator.release.abort import abort
from orchestrator.release.promote import promote
from orchestrator.reports.events import Filters, events
from orchestrator.reports.history import HistoryReport, history
from orchestrator.reports.metrics import collect
from orchestrator.reports.shield import ShieldFigures
from orchestrator.reports.status import StatusReport, status
from tests.fakes.world import APP, World, ignore
from tests.unit.stage import Stage

CANARY = 'strategy = "canary"\nstages = ["10% 5m", "50% 5m"]'
RESCUED, LOST = "deployctl_shield_rescued_total", "deployctl_shield_lost_total"


def count(world: World, slot: Slot, requests: int, failures: int = 0, rescued: int = 0) -> None:
    before = world.proxy.counted.get((APP, slot), Sample(0, 0, 0, {}))
    world.proxy.counted[APP, slot] = Sample(
        before.requests + requests, before.failures + failures, before.rescued + rescued, {}
    )


def report(world: World) -> StatusReport:
    return status(world.process(), APP, "")


def past(world: World) -> HistoryReport:
    return history(world.process(), APP, 20)


def shown(world: World) -> list[str]:
    """The history as people see it, a line for each row, newest first."""
    table = render_history.history(past(world))
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return [" ".join(row) for row in zip(*columns, strict=True)]


def metrics(world: World) -> dict[tuple[str, str], float]:
    found, problems = collect(world.process(), [APP])
    assert problems == []
    names = (RESCUED, LOST)
    return {
        (metric.name, sample.labels["version"]): sample.value
        for metric in found.metrics
        if metric.name in names
        for sample in metric.samples
    }


def v2_shielded(world: World) -> None:
    world.release("v1")
    count(world, "blue", 1000, 3)
    world.release("v2")
    count(world, "green", 100, 10, 8)


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world(v2_shielded)


def test_the_status_has_the_shield_while_it_is_on(world: World) -> None:
    assert report(world).shield == ShieldFigures("v1", 8, 2)
    assert "shield     8 failed requests answered by v1, 2 returned to clients" in render_status.status(report(world))
    assert metrics(world) == {(RESCUED, "v2"): 8, (LOST, "v2"): 2}
    assert [each.shield for each in past(world).deployments] == [None, None]


def test_the_shield_is_recorded_when_the_standby_time_is_over(world: World) -> None:
    world.time += 601
    world.watch()
    # What it fails now is not what it failed while it was shielded.
    count(world, "green", 50, 5)
    assert report(world).shield is None
    release, _ = past(world).deployments
    assert (release.to, release.shield) == ("v2", ShieldFigures("v1", 8, 2))
    assert shown(world)[0].endswith("8 failed requests answered by v1, 2 returned to clients")
    assert metrics(world) == {(RESCUED, "v2"): 8, (LOST, "v2"): 2}
    newest = events(world.process(), APP, 20, Filters(("shield",))).events
    assert [each.text for each in newest] == [
        "the shield of v2 ended: 8 failed requests answered by v1, 2 returned to clients"
    ]
    world.watch()
    assert len(events(world.process(), APP, 20, Filters(("shield",))).events) == 1


@pytest.mark.parametrize("by", ["rollback", "release"])
def test_the_shield_is_recorded_when_another_version_is_live(world: World, by: str) -> None:
    if by == "rollback":
        world.rollback()
        assert report(world).shield is None
    else:
        world.release("v3")
        assert report(world).shield == ShieldFigures("v2", 0, 0)
    assert past(world).deployments[1].shield == ShieldFigures("v1", 8, 2)
    found = metrics(world)
    assert (found[RESCUED, "v2"], found[LOST, "v2"]) == (8, 2)


def test_a_shield_without_failures_is_not_recorded(world: World) -> None:
    world.release("v3")
    world.rollback()
    assert [(each.to, each.shield is not None) for each in past(world).deployments[:3]] == [
        ("v2", False),
        ("v3", False),
        ("v2", True),
    ]


def test_the_proxy_does_not_answer(world: World) -> None:
    world.proxy.paused = True
    assert report(world).shield == ShieldFigures("v1", 0, 0)


# --- rollouts ----------------------------------------------------------------------------------------------------


def v2_canary(world: World) -> None:
    world.release("v1")
    count(world, "blue", 1000)
    world.rollout = CANARY
    world.release("v2")
    count(world, "green", 20, 2, 2)


@pytest.fixture
def rolling(stage: Stage) -> World:
    return stage.world(v2_canary)


def test_an_open_rollout_is_in_the_history(rolling: World) -> None:
    (row,) = past(rolling).rollouts
    assert (row.version, row.from_, row.strategy, row.stages) == ("v2", "v1", "canary", ("10% 5m", "50% 5m"))
    assert (row.outcome, row.ended_at, row.why) == (None, None, "")
    assert (row.shield.on, row.shield.rescued, row.shield.lost) == (True, 2, 0)
    now = report(rolling).rollout
    assert now is not None
    assert (row.evidence, row.shield, row.id) == (now.evidence, now.shield, now.id)
    assert report(rolling).shield is None, "that of the rollout says it"
    assert shown(rolling)[0].startswith("r1 ")
    assert "rollout v1 v2 in progress" in shown(rolling)[0]
    assert metrics(rolling) == {(RESCUED, "v2"): 2, (LOST, "v2"): 0}


def test_the_figures_of_a_rollout_are_those_of_all_stages(rolling: World) -> None:
    promote(rolling.process(), rolling.config())
    count(rolling, "green", 100, 3, 1)
    now = report(rolling).rollout
    assert now is not None
    assert (now.shield.rescued, now.shield.lost) == (3, 2)
    assert (now.evidence[0].hits, now.evidence[0].misses) == (5, 115)
    abort(rolling.process(), rolling.config(), "wrong labels")
    # v3 takes the slot of v2.
    count(rolling, "green", 1000, 1000)
    (row,) = past(rolling).rollouts
    assert (row.outcome, row.why, row.ended_at is None) == ("aborted", "wrong labels", False)
    assert (row.shield.on, row.shield.rescued, row.shield.lost) == (False, 3, 2)
    assert row.evidence == now.evidence
    assert any(
        "rollout v1 v2 aborted" in line and "3 failed requests answered by v1, 2 returned to clients" in line
        for line in shown(rolling)
    )


def test_a_promoted_rollout_and_the_shield_after_it(rolling: World) -> None:
    promote(rolling.process(), rolling.config(), full=True)
    count(rolling, "green", 100, 4, 4)
    (row,) = past(rolling).rollouts
    assert (row.outcome, row.shield.rescued, row.evidence[0].misses) == ("promoted", 2, 18)
    assert report(rolling).shield == ShieldFigures("v1", 4, 0)
    assert metrics(rolling) == {(RESCUED, "v2"): 6, (LOST, "v2"): 0}
    rolling.rollback()
    assert past(rolling).deployments[1].shield == ShieldFigures("v1", 4, 0)
    assert metrics(rolling) == {(RESCUED, "v2"): 6, (LOST, "v2"): 0}


def test_a_rollout_ends_although_the_proxy_has_no_counters(rolling: World) -> None:
    rolling.proxy.counted.clear()
    abort(rolling.process(), rolling.config())
    assert past(rolling).rollouts[0].outcome == "aborted"


def test_the_table_of_the_history_can_be_printed(rolling: World) -> None:
    Console().rich(render_history.history(past(rolling)))


def test_a_rollout_that_begins_during_a_look_is_reported_with_its_share(stage: Stage) -> None:
    world = stage.world(lambda world: world.release("v1"))
    services = world.process()

    def begins(name: str) -> None:
        if name == "ledger.open_deployment":
            world.faults.watch = ignore
            world.rollout = CANARY
            world.release("v2")

    world.faults.watch = begins
    found = status(services, APP, "")
    assert found.rollout is not None
    assert found.candidate is not None
    assert (found.rollout.shield.on, found.traffic.share, found.candidate.share) == (True, 10.0, 10.0)
