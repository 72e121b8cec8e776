"""Plans: what a deployment will do, as data. Pure.

Invariant: no step stops or removes anything in a slot that the traffic needs at that moment (a slot that has a share,
or is the fallback of one). So at every step, and after a crash at any step, a version that passed its probes serves.
`check` verifies this when a plan is made; the executor verifies it again on the real traffic before each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.domain.rollout.deployment import Kind, PlanRecord, StepRecord
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen


@frozen
class Plan:
    """A deployment before it begins. `before` is the traffic state at that moment.

    `mode`: `create` (new containers), `start` (kept ones) or `switch` (warm ones).
    """

    kind: Kind
    app: str
    from_version: str | None
    to_version: str
    from_slot: Slot | None
    to_slot: Slot
    mode: str
    before: TrafficState
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def commit(self) -> int:
        """The position of the step that commits."""
        return next(number for number, step in enumerate(self.steps) if step.commits)

    @property
    def at_commit(self) -> TrafficState:
        """The traffic state right before it commits."""
        state = self.before
        for step in self.steps[: self.commit]:
            state = step.leads_to or state
        return state

    @property
    def after(self) -> TrafficState:
        """The traffic state once it has committed."""
        state = self.steps[self.commit].leads_to
        assert state is not None, "the step that commits moves traffic"
        return state

    def record(self) -> PlanRecord:
        """The plan as the ledger stores it."""
        return PlanRecord(
            kind=self.kind,
            app=self.app,
            from_version=self.from_version,
            to_version=self.to_version,
            from_slot=self.from_slot,
            to_slot=self.to_slot,
            mode=self.mode,
            before=self.before,
            steps=tuple((step.name, step.args) for step in self.steps),
        )


def check(before: TrafficState, steps: Iterable[Step]) -> None:
    """Checks steps against the invariant of this module, beginning with the traffic state `before`.

    Raises:
        ValueError: a step would stop or remove something in a slot that the traffic needs at that moment.
    """
    state = before
    for step in steps:
        if step.takes is not None and state.needs(step.takes):
            raise ValueError(f"{step.name} would change {step.takes}, which the traffic needs: {state}")
        state = step.leads_to or state


def undo(plan: Plan, journal: Sequence[StepRecord]) -> tuple[Step, ...]:
    """The steps that undo what a deployment has begun and not committed, in reverse order."""
    steps: list[Step] = []
    for step in reversed(plan.steps):
        back = step.undo(plan) if is_journaled(step, journal) else None
        if back is not None and back not in steps:
            steps.append(back)
    return tuple(steps)


def is_journaled(step: Step, journal: Iterable[StepRecord], state: str | None = None) -> bool:
    """Whether the journal says that a plan's step was begun; with `state`, that it is in this state."""
    return any(
        (record.name, record.args) == (step.name, step.args) and state in (None, record.state)
        for record in journal
        if not record.undo
    )
