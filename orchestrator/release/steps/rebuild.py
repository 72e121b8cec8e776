"""Rebuild: builds a version's image, which the engine does not have any more, from its commit."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.errors import DeploymentFailed
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.build import build_image
from orchestrator.release.work import Detail, Work
from orchestrator.supply.model_files import checkout


@frozen
class Rebuild(Action):
    """Builds a version's image from `commit`, which must contain exactly the recorded files."""

    name: ClassVar[str] = "rebuild"
    version: str
    image: str
    commit: str

    @property
    def words(self) -> str:
        return f"rebuild the image {self.image} from commit {self.commit}"

    def run(self, work: Work) -> Detail:
        services = work.services
        lost = work.version(self.version)
        short = self.commit[:10]
        services.reporter.note(f"the image of {lost.name} is gone: it is rebuilt from commit {short}")
        started = services.clock()
        with checkout(services, work.config, lost) as source:
            manifest = services.manifests.read(source, keep=True, progress=services.progress)
            if manifest.digest != lost.manifest:
                raise DeploymentFailed(
                    f"{lost.name} cannot be rebuilt",
                    why=f"commit {short} has other files than it was built from: their manifest is"
                    f" {manifest.digest[:19]}…, the recorded one is {lost.manifest[:19]}…",
                    hint="it may have been built with files that Git ignores: release its source as a new version",
                )
            image_id = build_image(work, source, lost)
            services.models.keep(work.app, lost.name, manifest)
        services.ledger.record_version(replace(lost, image_id=image_id))
        services.ledger.record_layers(work.app, lost.name, services.images.layers(image_id))
        seconds = services.clock() - started
        services.reporter.note(f"{lost.name} was rebuilt in {seconds:.1f} s; its manifest matches the recorded one")
        return {"image_id": image_id, "manifest": manifest.digest}
