"""How an interrupted deployment is ended, decided from its journal and from the traffic. Pure.

The commit is the point of no return. Before it everything is undone, after it everything is finished. When the commit
was begun but not recorded as done, the traffic state on disk decides: did the traffic move?
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from orchestrator.domain.rollout.deployment import StepRecord
from orchestrator.domain.rollout.plan import Plan, is_journaled, undo
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen


@frozen
class Recovery:
    """`finish` or `undo`, and the steps that do it, without the one that concludes the deployment."""

    direction: Literal["finish", "undo"]
    steps: tuple[Step, ...]


def recover(plan: Plan, journal: Sequence[StepRecord], traffic: TrafficState) -> Recovery:
    """Decides how to end the deployment that wrote `journal`; `traffic` is the state on disk.

    An undo that was begun is always continued: it may have removed what finishing would need.
    """
    commit = plan.steps[plan.commit]
    moved = is_journaled(commit, journal) and traffic.same_shares(plan.after)
    undoing = any(record.undo for record in journal)
    if undoing or not (moved or is_journaled(commit, journal, "done")):
        return Recovery("undo", undo(plan, journal))
    return Recovery(
        "finish",
        tuple(
            step for step in plan.steps[plan.commit :] if not step.concludes and not is_journaled(step, journal, "done")
        ),
    )
