"""A step with its action."""

from __future__ import annotations

from abc import abstractmethod

from orchestrator.domain.rollout.step import Step
from orchestrator.release.work import Detail, Work


class Action(Step):
    """A step that can be carried out."""

    @abstractmethod
    def run(self, work: Work) -> Detail:
        """Carries out the step; returns what the journal stores. May be repeated with the same result."""
