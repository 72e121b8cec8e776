"""Push: pushes a version's image to the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.naming import next_version
from orchestrator.domain.rollout.plan import Plan
from orchestrator.errors import TagTaken
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.untag import Untag
from orchestrator.release.work import Detail, Work

# How many of the last deployments are searched for earlier attempts.
_RECENT = 50


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
        # Attempts of this version that failed after their push: it was never live, so nothing refers to their images.
        earlier = _earlier_pushes(work, self.version)
        try:
            with services.interrupts.interruptible():
                pushed = services.registry.push(version.image_id, self.reference, services.progress, replaces=earlier)
        except TagTaken as error:
            following = next_version(list(services.ledger.versions(work.app)))
            error.hint = f"release it under another name: deployctl release {following}"
            raise
        services.ledger.record_version(replace(version, pushed=pushed))
        return {"pushed": pushed}


def _earlier_pushes(work: Work, version: str) -> set[str]:
    ledger = work.services.ledger
    found = {str(known.pushed) for known in (ledger.versions(work.app).get(version),) if known and known.pushed}
    for deployment in ledger.deployments(work.app, _RECENT):
        if deployment.to_version == version:
            pushed = (step.detail.get("pushed") for step in ledger.steps(deployment.id) if step.name == Push.name)
            found.update(str(name) for name in pushed if name)
    return found
