"""A step: one journaled action of a deployment, described as data. Pure.

What a step does to the world stands beside its description, in one file of `release/steps` for each step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from orchestrator.domain.rollout.plan import Plan
    from orchestrator.domain.traffic.slot import Slot
    from orchestrator.domain.traffic.state import TrafficState


class Step(ABC):
    """One action. Subclasses are frozen dataclasses whose fields are the step's arguments.

    The fields are ready for JSON: the journal keeps them, and recovery acts on what the journal says. So every step
    can be carried out twice.
    """

    name: ClassVar[str]
    commits: ClassVar[bool] = False
    """The point of no return: before it is done everything is undone, after it everything is finished."""
    concludes: ClassVar[bool] = False
    """Ends the deployment: recovery adds one of its own."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The step as a person reads it in a plan and in the progress."""

    @property
    def takes(self) -> Slot | None:
        """The slot that it takes something from: never one that the traffic needs at that moment."""
        return None

    @property
    def leads_to(self) -> TrafficState | None:
        """Who gets the requests once it is done; None when it does not change that."""
        return None

    def undo(self, plan: Plan) -> Step | None:
        """The step that undoes this one, as long as the plan has not committed; None when nothing needs undoing."""
        return None

    @property
    def args(self) -> dict[str, Any]:
        """The arguments by name, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
