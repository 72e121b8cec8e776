"""Adopt: a version is made of an image that was built elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.version.manifest import Manifest, delta
from orchestrator.domain.version.reference import digest_of, with_digest
from orchestrator.errors import DeploymentFailed, EngineUnreachable, OperationFailed, RegistryError, UsageError
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.build import note_volumes, parent_manifest, remove_earlier
from orchestrator.release.steps.untag import Untag
from orchestrator.release.work import Detail, Draft, Work
from orchestrator.supply.image import FoundImage, image_manifest, refuse_platform


@frozen
class Adopt(Action):
    """Tags an image as a version, and records it; pulls it by its digest (`pinned`) unless the engine has it.

    A version that was never live is replaced. `reference` is the image as the user named it.
    """

    name: ClassVar[str] = "adopt"
    version: str
    image: str
    reference: str
    pinned: str
    image_id: str

    @classmethod
    def of(cls, version: str, image: str, found: FoundImage) -> Adopt:
        """The step for an image that was found."""
        return cls(version, image, found.reference, found.pinned, found.image_id)

    @property
    def words(self) -> str:
        if self.image_id:
            return f"tag the image {self.reference} as {self.image}"
        return f"pull the image {self.reference}, and tag it as {self.image}"

    def undo(self, plan: Plan) -> Untag | None:
        # An interrupted pull may leave an image under this name.
        return None if self.image_id else Untag(self.pinned)

    def run(self, work: Work) -> Detail:
        services, draft = work.services, work.draft
        if draft is None:
            raise DeploymentFailed("an interrupted pull cannot be continued", hint="run 'deployctl release' again")
        image_id = self.image_id
        if not image_id:
            with services.interrupts.interruptible():
                image_id = services.registry.fetch(self.pinned, services.progress)
        earlier = services.ledger.versions(work.app).get(self.version)
        try:
            manifest = self._manifest(work, draft, image_id)
            services.models.keep(work.app, self.version, manifest)
            services.images.tag(image_id, self.image)
        except (OperationFailed, UsageError):
            if not self.image_id:
                services.images.remove("", image_id)  # nothing names it, so no later command would remove it
            raise
        if not self.image_id:
            services.registry.untag(self.pinned)
        pushed = self.pinned if not self.image_id or self._in_registry(work) else None
        made = replace(
            draft.version,
            image_id=image_id,
            manifest=manifest.digest,
            pushed=pushed,
            from_image=with_digest(self.reference, digest_of(pushed)) if pushed else self.reference,
        )
        services.ledger.record_version(made, delta(parent_manifest(work, made), manifest))
        services.ledger.record_layers(work.app, self.version, services.images.layers(image_id))
        remove_earlier(work, earlier, image_id)
        note_volumes(work, image_id)
        return {"image_id": image_id, "manifest": manifest.digest, "from": made.from_image}

    def _manifest(self, work: Work, draft: Draft, image_id: str) -> Manifest:
        services = work.services
        image = services.images.find(image_id)
        if image is None:
            raise DeploymentFailed(
                f"the image {self.reference} is not on the engine any more",
                why="it was removed in the meantime",
                hint="run 'deployctl release' again",
            )
        refuse_platform(services, self.reference, [image.platform])
        found = FoundImage(self.reference, self.pinned, image_id)
        manifest = image_manifest(services, work.app, found, draft.manifest)
        assert manifest is not None, "the engine has the image"
        return manifest

    def _in_registry(self, work: Work) -> bool:
        """Whether the registry still has the image, so that a rollback can pull it."""
        if not self.pinned:
            return False
        try:
            there = work.services.registry.resolve(self.pinned, work.services.progress) is not None
            why = "its registry does not have it"
        except EngineUnreachable:
            raise
        except RegistryError as error:
            there, why = False, str(error)
        if not there:
            work.services.reporter.note(f"{self.version} cannot be pulled again when its image is removed: {why}")
        return there
