"""What becomes of a deployment that was interrupted. Pure: a function of its journal and of the route.

The switch is the point of no return. Before it everything is undone, after it everything is finished.
A switch that was begun and not recorded as done is decided by the truth on disk: where does the route point?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.domain.rollout.deployment import StepRecord
from orchestrator.domain.rollout.plan import Plan, Step, undo
from orchestrator.domain.traffic.slot import Slot


@dataclass(frozen=True)
class Recovery:
    """`finish` or `undo`, and the steps that do it."""

    direction: Literal["finish", "undo"]
    steps: tuple[Step, ...]


def recover(plan: Plan, journal: Sequence[StepRecord], route: Slot | None) -> Recovery:
    """Decides the fate of the deployment that made `journal`, when the route points at `route`.

    An undo that was begun is always carried on: it may have taken away what a finish would need.
    """
    forward = [record for record in journal if not record.undo]
    done = {record.name for record in forward if record.state == "done"}
    switch_begun = any(record.name == "switch" for record in forward)
    undoing = any(record.undo for record in journal)
    switched = "switch" in done or (switch_begun and route == plan.to_slot)
    if undoing or not switched:
        return Recovery("undo", undo(plan, journal))
    names = [step.name for step in plan.steps]
    after = plan.steps[names.index("switch") :]
    return Recovery("finish", tuple(step for step in after if step.name == "settle" or step.name not in done))
