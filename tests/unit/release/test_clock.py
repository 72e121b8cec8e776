"""The time of day is set forwards or back by a day during a command: results and their order stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.reports.history import DeploymentReport, history
from orchestrator.reports.status import status
from tests.fakes.world import APP, Crash, World

DAY = timedelta(days=1)
STEPS = (
    "build",
    "vacate",
    "create",
    "start",
    "register",
    "probe",
    "keep",
    "inspect",
    "switch",
    "reroute",
    "retire",
    "settle",
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "world")
    world.release("v1")
    yield world
    world.close()


def set_clock(world: World, by: timedelta, at: tuple[str, str], then: Callable[[], None] = lambda: None) -> None:
    """Sets the clock once, at one boundary of a deployment."""

    def boundary(when: str, step: str) -> None:
        if (when, step) == at:
            world.wall_offset += by
            then()

    world.boundary = boundary


def rows(world: World) -> tuple[DeploymentReport, ...]:
    return history(world.process(), APP, 50).deployments


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forwards", "back"])
@pytest.mark.parametrize("step", STEPS)
def test_the_clock_is_set_during_a_release(world: World, step: str, by: timedelta) -> None:
    set_clock(world, by, ("acted", step))
    world.release("v2")
    assert (world.live(), world.served()) == (("v2", "green"), "v2")
    world.rollback()
    assert (world.live(), world.served()) == (("v1", "blue"), "v1")
    reports = rows(world)
    assert [(row.kind, row.to, row.outcome) for row in reports] == [
        ("rollback", "v1", "succeeded"),
        ("release", "v2", "succeeded"),
        ("release", "v1", "succeeded"),
    ]
    assert all(0 <= step.seconds < 60 for row in reports for step in row.steps)
    assert all(0 <= row.seconds < 600 for row in reports)


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forwards", "back"])
@pytest.mark.parametrize("step", STEPS)
def test_the_clock_is_set_before_a_crash(world: World, step: str, by: timedelta) -> None:
    def crash() -> None:
        raise Crash

    set_clock(world, by, ("before", step), crash)
    with pytest.raises(Crash):
        world.release("v2")
    world.boundary = lambda when, step: None
    world.recover()
    expected = "v2" if STEPS.index(step) > STEPS.index("switch") else "v1"
    assert world.served() == expected
    assert rows(world)[0].outcome == ("succeeded" if expected == "v2" else "undone")
    assert not world.recover().anything


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forwards", "back"])
def test_the_estimate_of_a_rollback_after_the_clock_was_set(world: World, by: timedelta) -> None:
    set_clock(world, by, ("acted", "probe"))
    world.release("v2")
    report = status(world.process(), APP, "127.0.0.1:8000")
    assert report.state == "stable"
    assert report.previous is not None
    assert report.previous.version == "v1"
    assert report.previous.rollback.seconds is not None
    assert 0 < report.previous.rollback.seconds < 60
