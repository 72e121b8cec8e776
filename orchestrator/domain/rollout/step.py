"""A step: one journaled action of a deployment, described as data. Pure.

The description of a step and the code that carries it out are in one file of `release/steps`.
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

    The fields are ready for JSON: the journal stores them, and recovery carries out steps from the journal. Every step
    can be carried out twice with the same result.
    """

    name: ClassVar[str]
    commits: ClassVar[bool] = False
    """The point of no return: before it is done everything is undone, after it everything is finished."""
    concludes: ClassVar[bool] = False
    """Ends the deployment. A recovery ends it with a step of its own."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What the step does, as plans and progress messages show it."""

    @property
    def takes(self) -> Slot | None:
        """The slot in which it stops or removes something; the traffic must not need it at that moment."""
        return None

    @property
    def leads_to(self) -> TrafficState | None:
        """The traffic state once it is done; None when the step does not change it."""
        return None

    def undo(self, plan: Plan) -> Step | None:
        """The step that undoes this one while the plan has not committed; None when there is nothing to undo."""
        return None

    @property
    def args(self) -> dict[str, Any]:
        """The arguments by name, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
