"""A step with its action."""

from __future__ import annotations

from abc import abstractmethod

from orchestrator.domain.rollout.step import Step
from orchestrator.release.work import Detail, Work


class Action(Step):
    """A step that can be carried out."""

    @abstractmethod
    def run(self, work: Work) -> Detail:
        """Does it; returns what the journal keeps. Done twice, it leaves what it leaves when it is done once."""
