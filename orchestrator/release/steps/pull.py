"""Pull: pulls a version's image, which the engine does not have any more, from the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.version.version import Version
from orchestrator.errors import DeploymentFailed, EngineUnreachable, OperationFailed, UsageError
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.rebuild import Rebuild
from orchestrator.release.steps.untag import Untag
from orchestrator.release.work import Detail, Work
from orchestrator.supply.model_files import restore


@frozen
class Pull(Action):
    """Pulls `reference`, the name of a version's image with its digest; if that fails, rebuilds it from its commit."""

    name: ClassVar[str] = "pull"
    version: str
    image: str
    registry: str
    reference: str

    @classmethod
    def of(cls, version: Version) -> Pull:
        """The step for a version that was pushed."""
        assert version.pushed is not None, "only a version that was pushed can be pulled"
        return cls(version.name, version.image, version.pushed.split("@")[0], version.pushed)

    @property
    def words(self) -> str:
        return f"pull the image {self.image} from {self.registry} by digest"

    def undo(self, plan: Plan) -> Untag:
        # An interrupted pull may leave an image under this name.
        return Untag(self.reference)

    def run(self, work: Work) -> Detail:
        services = work.services
        lost = work.version(self.version)
        started = services.clock()
        try:
            restore(services, work.config, lost, services.progress)  # first: a registry does not have the model files
            with services.interrupts.interruptible():
                image_id = services.registry.pull(lost, services.progress)
        except EngineUnreachable:
            raise
        except OperationFailed as error:
            return {"image_id": self._rebuild(work, lost, error), "rebuilt": True}
        if image_id != lost.image_id:
            services.ledger.record_version(replace(lost, image_id=image_id))
        seconds = services.clock() - started
        services.reporter.note(f"{lost.name} was pulled from {self.registry} in {seconds:.1f} s")
        return {"image_id": image_id, "rebuilt": False}

    def _rebuild(self, work: Work, lost: Version, error: OperationFailed) -> object:
        """Rebuilds the image when its commit contains all of its source; returns its id."""
        if lost.git_commit is None or lost.git_dirty:
            source = "changes that were never committed" if lost.git_commit else "files outside of Git"
            built = "it was not built here" if lost.from_image else f"it was built from {source}"
            raise DeploymentFailed(
                f"{lost.name} cannot be restored: {error.message}",
                why=f"{error.why}; and it cannot be rebuilt: {built}",
                hint=error.hint,
            ) from error
        work.services.reporter.note(str(error))
        try:
            return Rebuild(self.version, self.image, lost.git_commit).run(work)["image_id"]
        except (OperationFailed, UsageError) as second:
            raise DeploymentFailed(
                f"{lost.name} can be neither pulled nor rebuilt",
                why=f"{error}; and {second}",
                hint=error.hint,
                details=second.details,
            ) from second
