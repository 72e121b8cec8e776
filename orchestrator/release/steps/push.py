"""Push: pushes a version's image to the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.untag import Untag
from orchestrator.release.work import Detail, Work


@frozen
class Push(Action):
    """Pushes a version's image as `reference`, and records its name with the digest that the registry gives it."""

    name: ClassVar[str] = "push"
    version: str
    image: str
    reference: str

    @property
    def words(self) -> str:
        return f"push {self.image} as {self.reference}"

    def undo(self, plan: Plan) -> Untag:
        # An interrupted push may leave this name on the image.
        return Untag(self.reference)

    def run(self, work: Work) -> Detail:
        services = work.services
        version = work.version(self.version)
        with services.interrupts.interruptible():
            pushed = services.registry.push(version.image_id, self.reference, services.progress)
        services.ledger.record_version(replace(version, pushed=pushed))
        return {"pushed": pushed}
