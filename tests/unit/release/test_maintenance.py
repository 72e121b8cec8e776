"""Maintenance with fakes: what begins, changes and ends it, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.errors import EngineUnreachable, LedgerDamaged, Locked, ProxyError, UsageError
from orchestrator.release.maintenance import begin, end
from orchestrator.release.rebuild import rebuild_ledger
from orchestrator.reports.doctor import doctor
from orchestrator.reports.events import Filters, events
from orchestrator.reports.maintenance import maintenance
from orchestrator.reports.status import status
from tests.fakes.world import APP, Crash, World
from tests.unit.stage import Stage

CLOSED = Maintenance("back at 10", 60)
OTHER = Maintenance("back at 11", 5, 20.0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    made.release("v1")
    yield made
    made.close()


def on(world: World, wanted: Maintenance = CLOSED) -> bool:
    return begin(world.process(), world.config(), wanted)


def off(world: World) -> bool:
    return end(world.process(), world.config())


def done(world: World) -> Maintenance | None:
    """What the proxy does, and would do after another start; the ledger says the same."""
    found = world.traffic.running(APP).maintenance
    assert found == world.traffic.on_disk(APP).maintenance == world.ledger.traffic(APP).maintenance
    return found


def state(world: World) -> str:
    return status(world.process(), APP, world.listen).state


def texts(world: World) -> list[str]:
    rows = events(world.process(), APP, 50, Filters(kinds=("maintenance",))).events
    assert {row.by for row in rows} <= {world.process().actor(world.folder)}
    return [row.text for row in reversed(rows)]


def test_it_begins_changes_and_ends(world: World) -> None:
    assert maintenance(world.process(), APP).maintenance is None
    assert on(world) is True
    assert done(world) == CLOSED
    begun = maintenance(world.process(), APP).maintenance
    assert begun is not None
    assert begun.by == world.process().actor(world.folder)
    assert (begun.message, begun.retry_after, begun.hold) == ("back at 10", 60, 0.0)
    world.time += 60
    assert on(world) is False
    assert on(world, OTHER) is True
    assert done(world) == OTHER
    changed = maintenance(world.process(), APP).maintenance
    assert changed is not None
    assert (changed.since, changed.message, changed.hold) == (begun.since, "back at 11", 20.0)
    assert off(world) is True
    assert off(world) is False
    assert done(world) is None
    assert texts(world) == [
        "maintenance began: requests get 503: back at 10",
        "maintenance changed: requests wait for at most 20s, then get 503: back at 11",
        "maintenance ended",
    ]


def test_the_status_says_so_and_nothing_is_wrong(world: World) -> None:
    on(world)
    report = status(world.process(), APP, world.listen)
    assert (report.state, report.problems, report.traffic.held) == ("maintenance", (), False)
    assert report.maintenance is not None
    assert report.maintenance.message == CLOSED.message
    assert doctor(world.process(), world.config()).checks[-1].message == "maintenance"
    on(world, OTHER)
    assert status(world.process(), APP, world.listen).traffic.held is True
    for container in world.workloads.containers(APP):
        world.engine.change(container, state="exited", exit_code=1)
    assert state(world) == "degraded"


@pytest.mark.parametrize("wanted", [CLOSED, OTHER])
def test_the_watchdog_does_not_call_the_app_degraded(world: World, wanted: Maintenance) -> None:
    on(world, wanted)
    if wanted.hold:
        world.prober.through = lambda: 504  # a request that waits is given up
    for _ in range(3):
        passed = world.watch()
        assert (passed.outcome, passed.new_messages) == ("healthy", [])
        world.time += 60
    assert done(world) == wanted
    world.prober.through = world.through
    off(world)
    assert world.watch().outcome == "healthy"


def test_the_watchdog_still_notices_a_proxy_that_does_not_answer_503(world: World) -> None:
    on(world)
    world.prober.through = lambda: 502
    assert world.watch().outcome == "degraded"


def test_without_maintenance_a_503_is_a_problem(world: World) -> None:
    world.prober.through = lambda: 503
    assert world.watch().outcome == "degraded"


def test_no_deployment_ends_it(world: World) -> None:
    on(world)
    world.release("v2")
    assert (world.live(), done(world)) == (("v2", "green"), CLOSED)
    assert [note for note in world.reports.notes if "in maintenance" in note]
    world.rollback()
    assert (world.live(), done(world)) == (("v1", "blue"), CLOSED)
    world.keep_warm, world.bake = "0s", "2m"
    world.release("v3")
    world.time += 200
    world.watch()
    world.time += 700
    world.watch()
    assert world.recover().repaired == []
    assert (world.live(), done(world)) == (("v3", "green"), CLOSED)
    off(world)
    assert world.served() == "v3"


def test_a_failed_release_does_not_end_it(world: World) -> None:
    on(world)
    world.proxy.failing.add((APP, "green"))
    with pytest.raises(ProxyError):
        world.release("v2")
    assert done(world) == CLOSED


def test_it_is_kept_when_the_ledger_is_rebuilt(world: World) -> None:
    on(world, OTHER)
    world.close()
    (world.folder / "ledger.db").write_bytes(b"damaged" * 1000)
    services = world.process()
    with pytest.raises(LedgerDamaged):
        begin(services, world.config(), CLOSED)
    rebuild_ledger(services)
    world.recover()
    assert done(world) == OTHER
    found = maintenance(world.process(), APP).maintenance
    assert found is not None
    assert found.by == "unknown"


def test_an_app_without_a_live_version_has_none(tmp_path: Path) -> None:
    world = World(tmp_path / "empty")
    for command in (on, off):
        with pytest.raises(UsageError, match="no version of mymodel is live") as caught:
            command(world)
        assert caught.value.hint == "deployctl release"
    assert world.ledger.maintenance(APP) is None
    world.close()


def test_another_command_is_running(world: World) -> None:
    with world.process().locks.app(APP), pytest.raises(Locked):
        on(world)
    assert done(world) is None


def test_the_removal_of_the_app_ends_it(world: World) -> None:
    on(world)
    world.ledger.remove_proxy_app(APP)
    world.traffic.forget(APP)
    assert world.ledger.maintenance(APP) is None
    assert world.traffic.known() == {}


def test_it_is_possible_while_the_engine_does_not_answer(world: World) -> None:
    world.faults.arm(None)

    def unreachable(name: str) -> None:
        if name.startswith("workloads."):
            raise EngineUnreachable("Docker does not answer")

    world.faults.watch = unreachable
    assert on(world) is True
    assert "maintenance still works" in " ".join(world.reports.notes)
    assert off(world) is True
    assert done(world) is None


# --- what fails, and what is killed ------------------------------------------------------------------------------


def test_when_the_proxy_does_not_do_it_the_ledger_does_not_say_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(app: str, wanted: Maintenance | None) -> None:
        raise ProxyError("the proxy does not answer")

    monkeypatch.setattr(world.traffic, "maintain", refuse)
    with pytest.raises(ProxyError):
        on(world)
    assert done(world) is None
    monkeypatch.undo()
    on(world)
    monkeypatch.setattr(world.traffic, "maintain", refuse)
    for wanted in (None, OTHER):
        with pytest.raises(ProxyError):
            on(world, wanted) if wanted else off(world)
        assert done(world) == CLOSED
    assert texts(world)[:2] == [
        "maintenance began: requests get 503: back at 10",
        "the last change of the maintenance was undone: the proxy does not answer",
    ]


def released(world: World) -> None:
    world.release("v1")


def closed(world: World) -> None:
    released(world)
    on(world, OTHER)


@pytest.mark.parametrize(("setup", "after"), [(released, CLOSED), (closed, CLOSED), (closed, None)])
def test_a_crash_at_any_call_that_changes_something_leaves_one_of_the_two(
    stage: Stage, setup: Callable[[World], None], after: Maintenance | None
) -> None:
    """Whatever it leaves, the ledger decides, the status says what differs, and the next command finishes it."""

    def run(world: World) -> None:
        on(world, after) if after else off(world)

    world = stage.world(setup)
    before = done(world)
    world.faults.arm(None)
    run(world)
    calls = list(world.faults.calls)
    assert "ledger.set_maintenance" in calls
    # What comes before is a recovery, whose crashes are tested for all commands.
    first = calls.index("ledger.set_maintenance")
    seen: set[Maintenance | None] = set()
    for number, late in product(range(first, len(calls)), (False, True)):
        world = stage.world(setup)
        world.faults.arm(number, Crash(), after=late)
        with pytest.raises(Crash):
            run(world)
        world.faults.arm(None)
        recorded = world.ledger.traffic(APP).maintenance
        differs = world.traffic.running(APP).maintenance != recorded
        assert bool(maintenance(world.process(), APP).problems) == differs
        assert state(world) == ("degraded" if differs else "maintenance" if recorded else "stable")
        seen.add(recorded)
        world.watch()
        assert done(world) == recorded
        assert maintenance(world.process(), APP).problems == ()
    assert seen == {before, after}


def test_what_differs_is_said_with_the_next_command(world: World) -> None:
    world.traffic.maintain(APP, replace(CLOSED, hold=5.0))
    problems = maintenance(world.process(), APP).problems
    assert problems == status(world.process(), APP, world.listen).problems
    assert problems[1] == (
        "the proxy has a maintenance in which requests wait for at most 5s, then get 503: back at 10, and the ledger"
        " has no maintenance: deployctl recover"
    )
    world.recover()
    assert done(world) is None
    with world.process().locks.app(APP):
        world.traffic.maintain(APP, CLOSED)
        assert maintenance(world.process(), APP).problems == (), "a command may be about to record it"
