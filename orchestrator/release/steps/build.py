"""Build: the image of a new version, its manifest and its model files."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.config import Config, printable
from orchestrator.domain.version.manifest import EMPTY, Manifest, delta
from orchestrator.domain.version.version import Version
from orchestrator.errors import DeploymentFailed, OperationFailed, StorageError, UsageError
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Build(Action):
    """Builds what `Work.draft` describes, and records it. A version that was never live is replaced."""

    name: ClassVar[str] = "build"
    version: str
    image: str

    @property
    def words(self) -> str:
        return f"build the image {self.image}"

    def run(self, work: Work) -> Detail:
        services, draft = work.services, work.draft
        if draft is None:
            raise DeploymentFailed("an interrupted build cannot be continued", hint="run 'deployctl release' again")
        image_id = build_image(work, draft.source.building, draft.version)
        earlier = services.ledger.versions(work.app).get(self.version)
        try:
            if changed := services.manifests.changed(draft.source.building, draft.manifest):
                raise DeploymentFailed(
                    f"{changed} changed while {self.image} was built",
                    why="it is unknown which content is in the image",
                    hint="let the program that writes it finish, or add the file to .dockerignore; then release again",
                )
            services.models.keep(work.app, self.version, draft.manifest)
        except (OperationFailed, UsageError):
            # The image is not recorded, so no later command would remove it.
            if earlier is None or earlier.image_id != image_id:
                services.images.remove(self.image, image_id)
            raise
        draft.source.done()
        change = delta(parent_manifest(work, draft.version), draft.manifest)
        services.ledger.record_version(replace(draft.version, image_id=image_id), change)
        services.ledger.record_layers(work.app, self.version, services.images.layers(image_id))
        remove_earlier(work, earlier, image_id)
        note_volumes(work, image_id)
        return {"image_id": image_id, "manifest": draft.version.manifest}


def remove_earlier(work: Work, earlier: Version | None, image_id: str) -> None:
    """Removes the image of an earlier attempt: it has lost its tag, so no later command would remove it."""
    if earlier is not None and earlier.image_id != image_id:
        work.services.images.remove(earlier.image, earlier.image_id)


def note_volumes(work: Work, image_id: str) -> None:
    """A note about the volumes of the image that no mount of deploy.toml replaces: their content does not stay."""
    config = work.config
    mounts = {volume.split(":")[1] for volume in config.run.volumes} | {path.split(":")[0] for path in config.run.tmpfs}
    if config.model is not None:
        mounts.add(config.model.mount)
    image = work.services.images.find(image_id)
    for target in image.volumes if image else ():
        if target.rstrip("/") not in mounts:
            work.services.reporter.note(
                f"the image declares the volume {printable(target)}: each container has its own, which is removed with"
                f' it; to keep its content: run.volumes = ["NAME:{printable(target)}"]'
            )


def build_image(work: Work, config: Config, version: Version) -> str:
    """Builds and tags the image of a version from the source that `config` names; returns its id."""
    services = work.services
    spec = config.build_spec(version.name, work.labels(version))
    with services.interrupts.interruptible():
        return services.images.build(spec, services.progress)


def parent_manifest(work: Work, version: Version) -> Manifest:
    """The manifest of a version's parent; empty without one."""
    parent = work.services.ledger.versions(work.app).get(version.parent or "")
    if parent is None:
        return EMPTY
    try:
        return work.services.manifests.load(parent.manifest) or EMPTY
    except StorageError as error:
        # A damaged record of an earlier version must not stop a release.
        work.services.reporter.note(f"all files of {version.name} are recorded as new: {error}")
        return EMPTY
