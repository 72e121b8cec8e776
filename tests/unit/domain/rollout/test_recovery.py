"""Every plan, interrupted at every step: undone before the switch, finished after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.domain.rollout.deployment import StepRecord
from orchestrator.domain.rollout.plan import Plan, check, undo
from orchestrator.domain.rollout.recovery import Recovery, recover
from orchestrator.domain.traffic.state import TrafficState
from tests.unit.builders import journal, plans, record

STATES = ("started", "done", "failed")


def interrupted(plan: Plan) -> Iterator[tuple[list[StepRecord], TrafficState, bool]]:
    """Every journal that a crash can leave, where the traffic may go then, and whether it has switched."""
    for length in range(len(plan.steps) + 1):
        for last in STATES if length else STATES[:1]:
            rows = journal(plan.steps[:length], last)
            at = length - 1
            before, after = traffic(plan, at), traffic(plan, length)
            if at > plan.commit or (at == plan.commit and last == "done"):
                yield rows, after, True
                continue
            if length and last == "done":
                yield rows, after, False
                continue
            # Begun but not recorded as done: only the state on disk tells.
            yield rows, before, False
            if after != before:
                yield rows, after, at == plan.commit


def traffic(plan: Plan, count: int) -> TrafficState:
    """Who gets the requests after the first `count` steps."""
    state = plan.before
    for step in plan.steps[: max(0, count)]:
        state = step.leads_to or state
    return state


def cases() -> list[object]:
    return [
        pytest.param(
            plan,
            rows,
            route,
            switched,
            id=f"{name}, {rows[-1].name if rows else 'nothing'} {rows[-1].state if rows else 'begun'}, traffic {route}",
        )
        for name, plan in plans().items()
        for rows, route, switched in interrupted(plan)
    ]


every = pytest.mark.parametrize(("plan", "rows", "state", "switched"), cases())


def test_there_are_cases_before_and_after_the_switch() -> None:
    generated = [case for plan in plans().values() for case in interrupted(plan)]
    assert len(generated) > 200
    assert {switched for _, _, switched in generated} == {True, False}


@every
def test_before_the_switch_it_is_undone_and_after_it_finished(
    plan: Plan, rows: list[StepRecord], state: TrafficState, switched: bool
) -> None:
    recovery = recover(plan, rows, state)
    assert recovery.direction == ("finish" if switched else "undo")
    assert not any(step.concludes for step in recovery.steps)
    if not switched:
        assert recovery.steps == undo(plan, rows)


@every
def test_a_finish_carries_out_exactly_the_steps_that_are_not_done(
    plan: Plan, rows: list[StepRecord], state: TrafficState, switched: bool
) -> None:
    if not switched:
        return
    done = {row.name for row in rows if row.state == "done"}
    switch = plan.commit
    expected = [step for step in plan.steps[switch:] if step.name not in done and not step.concludes]
    assert list(recover(plan, rows, state).steps) == expected


@every
def test_recovery_never_stops_what_serves(
    plan: Plan, rows: list[StepRecord], state: TrafficState, switched: bool
) -> None:
    recovery = recover(plan, rows, state)
    if any(step.name == "unswitch" for step in recovery.steps):
        # The traffic is switched back before anything is stopped or removed.
        back = recovery.steps[0].leads_to
        assert back is not None and back.same_shares(plan.before)
    check(state, recovery.steps)


@every
def test_an_interrupted_recovery_goes_on_in_the_same_direction(
    plan: Plan, rows: list[StepRecord], state: TrafficState, switched: bool
) -> None:
    first = recover(plan, rows, state)
    for length in range(1, len(first.steps) + 1):
        for state in STATES:
            journaled = [
                record(100 + n, step, "done" if n < length - 1 else state, undo=first.direction == "undo")
                for n, step in enumerate(first.steps[:length])
            ]
            # During an undo the traffic may be on either slot; during a finish it stays on the new one.
            for now in (plan.before, plan.after) if first.direction == "undo" else (plan.after,):
                again = recover(plan, [*rows, *journaled], now)
                assert again.direction == first.direction
                if first.direction == "undo":
                    assert again.steps == first.steps
                else:
                    done = {row.name for row in journaled if row.state == "done"}
                    left = tuple(step for step in first.steps if step.name not in done)
                    assert again.steps == left


@every
def test_the_same_journal_gives_the_same_recovery(
    plan: Plan, rows: list[StepRecord], state: TrafficState, switched: bool
) -> None:
    assert recover(plan, rows, state) == recover(plan, list(rows), state)


@pytest.mark.parametrize("name", plans())
def test_a_second_recovery_changes_nothing_more(name: str) -> None:
    plan = plans()[name]
    switch = plan.commit
    for rows, state in (
        (journal(plan.steps[: switch + 1], "started"), plan.before),
        (journal(plan.steps[: switch + 1], "started"), plan.after),
    ):
        first = recover(plan, rows, state)
        undoing = first.direction == "undo"
        after = [*rows, *(record(100 + n, s, "done", undo=undoing) for n, s in enumerate(first.steps))]
        second = recover(plan, after, plan.before if undoing else plan.after)
        # A finish has nothing left to do; the steps of an undo can be carried out twice.
        expected = first if undoing else Recovery("finish", ())
        assert second == expected


def test_an_unrecorded_switch_is_undone_when_the_route_is_lost() -> None:
    plan = plans()["second release"]
    switch = plan.commit
    assert recover(plan, journal(plan.steps[: switch + 1], "started"), TrafficState()).direction == "undo"
    assert recover(plan, journal(plan.steps[: switch + 1], "done"), TrafficState()).direction == "finish"
