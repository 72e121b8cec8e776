"""Every plan, interrupted everywhere: before the switch it is undone, after it it is finished. Generated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestrator.domain.rollout.deployment import StepRecord
from orchestrator.domain.rollout.plan import Plan, check, undo
from orchestrator.domain.rollout.recovery import Recovery, recover
from orchestrator.domain.traffic.slot import Slot
from tests.unit.builders import journal, plans, record

STATES = ("started", "done", "failed")


def interrupted(plan: Plan) -> Iterator[tuple[list[StepRecord], Slot | None, bool]]:
    """Every journal that a crash can leave, where the route may point then, and whether it has switched."""
    switch = [step.name for step in plan.steps].index("switch")
    for length in range(len(plan.steps) + 1):
        for last in STATES if length else STATES[:1]:
            rows = journal(plan.steps[:length], last)
            at = length - 1
            if at < switch:
                yield rows, plan.from_slot, False
            elif at > switch or last == "done":
                yield rows, plan.to_slot, True
            else:
                # Begun, and not recorded as done: only the route knows.
                yield rows, plan.from_slot, False
                yield rows, plan.to_slot, True


def cases() -> list[object]:
    return [
        pytest.param(
            plan,
            rows,
            route,
            switched,
            id=f"{name}, {rows[-1].name if rows else 'nothing'} {rows[-1].state if rows else 'begun'}, route {route}",
        )
        for name, plan in plans().items()
        for rows, route, switched in interrupted(plan)
    ]


every = pytest.mark.parametrize(("plan", "rows", "route", "switched"), cases())


def test_there_are_cases_of_both_kinds() -> None:
    found = [case for plan in plans().values() for case in interrupted(plan)]
    assert len(found) > 200
    assert {switched for _, _, switched in found} == {True, False}


@every
def test_before_the_switch_it_is_undone_after_it_finished(
    plan: Plan, rows: list[StepRecord], route: Slot | None, switched: bool
) -> None:
    found = recover(plan, rows, route)
    assert found.direction == ("finish" if switched else "undo")
    assert found.steps[-1].name == "settle"
    if not switched:
        assert found.steps == undo(plan, rows)


@every
def test_a_finish_repeats_nothing_that_is_done_and_leaves_nothing_out(
    plan: Plan, rows: list[StepRecord], route: Slot | None, switched: bool
) -> None:
    if not switched:
        return
    done = {row.name for row in rows if row.state == "done"}
    switch = [step.name for step in plan.steps].index("switch")
    expected = [step for step in plan.steps[switch:] if step.name not in done or step.name == "settle"]
    assert list(recover(plan, rows, route).steps) == expected


@every
def test_recovery_never_touches_what_serves(
    plan: Plan, rows: list[StepRecord], route: Slot | None, switched: bool
) -> None:
    found = recover(plan, rows, route)
    serving = plan.from_slot
    if switched:
        serving = plan.to_slot
    elif any(step.name == "unswitch" for step in found.steps):
        # The route is back before anything is taken away.
        assert found.steps[0].name == "unswitch"
        assert found.steps[0].args["slot"] == plan.from_slot
    check(replace(plan, from_slot=serving, steps=found.steps))


@every
def test_an_interrupted_recovery_goes_on_in_the_same_direction(
    plan: Plan, rows: list[StepRecord], route: Slot | None, switched: bool
) -> None:
    first = recover(plan, rows, route)
    for length in range(1, len(first.steps) + 1):
        for state in STATES:
            journaled = [
                record(100 + n, step, "done" if n < length - 1 else state, undo=first.direction == "undo")
                for n, step in enumerate(first.steps[:length])
            ]
            # While it is undone the route may be on either side; once it is finished it stays.
            for now in (plan.from_slot, plan.to_slot) if first.direction == "undo" else (plan.to_slot,):
                again = recover(plan, [*rows, *journaled], now)
                assert again.direction == first.direction
                if first.direction == "undo":
                    assert again.steps == first.steps
                else:
                    done = {row.name for row in journaled if row.state == "done"}
                    left = tuple(step for step in first.steps if step.name not in done or step.name == "settle")
                    assert again.steps == left


@every
def test_the_same_journal_gives_the_same_recovery(
    plan: Plan, rows: list[StepRecord], route: Slot | None, switched: bool
) -> None:
    assert recover(plan, rows, route) == recover(plan, list(rows), route)


@pytest.mark.parametrize("name", plans())
def test_done_twice_it_is_the_same_plan(name: str) -> None:
    plan = plans()[name]
    switch = [step.name for step in plan.steps].index("switch")
    for rows, route in (
        (journal(plan.steps[: switch + 1], "started"), plan.from_slot),
        (journal(plan.steps[: switch + 1], "started"), plan.to_slot),
    ):
        first = recover(plan, rows, route)
        undoing = first.direction == "undo"
        after = [*rows, *(record(100 + n, s, "done", undo=undoing) for n, s in enumerate(first.steps))]
        second = recover(plan, after, plan.from_slot if undoing else plan.to_slot)
        # A finish has only its outcome to record again; an undo is made of steps that can be done twice.
        expected = first if undoing else Recovery("finish", first.steps[-1:])
        assert second == expected


def test_a_route_that_is_lost_undoes_a_switch_that_was_not_recorded() -> None:
    plan = plans()["second release"]
    switch = [step.name for step in plan.steps].index("switch")
    assert recover(plan, journal(plan.steps[: switch + 1], "started"), None).direction == "undo"
    assert recover(plan, journal(plan.steps[: switch + 1], "done"), None).direction == "finish"
