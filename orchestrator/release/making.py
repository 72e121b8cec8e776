"""The steps that make a version's image: built, built again, pushed to a registry, or pulled from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orchestrator.config import Config
from orchestrator.domain.rollout.deployment import Deployment, Outcome
from orchestrator.domain.rollout.plan import Plan, Step
from orchestrator.domain.version.manifest import EMPTY, Manifest, delta
from orchestrator.domain.version.version import Version
from orchestrator.errors import DeploymentFailed, EngineUnreachable, OperationFailed, UsageError
from orchestrator.ports.services import Services
from orchestrator.release.slots import Slots
from orchestrator.supply.source import Source, interruptible

Detail = dict[str, Any]


class Making:
    """What all steps of one deployment work with. `draft` is the version that a release may have to build.

    It is built from `source`, of what `manifest` says.
    """

    def __init__(
        self,
        services: Services,
        deployment: Deployment,
        plan: Plan,
        config: Config,
        *,
        draft: Version | None = None,
        source: Source | None = None,
        manifest: Manifest = EMPTY,
        settings: str = "",
    ) -> None:
        self.s = services
        self.deployment = deployment
        self.plan = plan
        self.config = config
        self.app = plan.app
        self.draft = draft
        self.source = source or Source(config, config)
        self.manifest = manifest
        self.slots = Slots(services, plan.app)
        self.settings = settings
        self.outcome: Outcome = "succeeded"
        self.reason = ""

    def run(self, step: Step) -> Detail:
        """Does one step; returns what the journal shall keep of it."""
        action: Callable[[dict[str, Any]], Detail] = getattr(self, f"_{step.name}")
        return action(step.args)

    def _build(self, args: dict[str, Any]) -> Detail:
        draft = self.draft
        if draft is None:
            raise DeploymentFailed("an interrupted build cannot be carried on", hint="release again")
        building = self.source.building
        image_id = self._image(building, draft)
        before = self.s.ledger.versions(self.app).get(draft.name)
        try:
            if changed := self.s.artifacts.changed(building, self.manifest):
                raise DeploymentFailed(
                    f"{changed} changed while {draft.image} was built",
                    why="nobody can say what is in the image",
                    hint="let the program that writes it finish, then release again",
                )
            self.s.artifacts.snapshot(self.app, draft.name, self.manifest)
        except (OperationFailed, UsageError):
            # It is not recorded: nobody would ever find it.
            if before is None or before.image_id != image_id:
                self.s.engine.remove_image(draft.image, image_id)
            raise
        self.source.done()
        self.s.ledger.record_version(replace(draft, image_id=image_id), delta(self._parent_of(draft), self.manifest))
        self.s.ledger.record_layers(self.app, draft.name, self.s.engine.layers(image_id))
        if before is not None and before.image_id != image_id:
            # The image of an earlier try has lost its tag: nobody would ever find it again.
            self.s.engine.remove_image(before.image, before.image_id)
        return {"image_id": image_id, "manifest": draft.manifest}

    def _parent_of(self, version: Version) -> Manifest:
        parent = self.s.ledger.versions(self.app).get(version.parent or "")
        try:
            return (self.s.artifacts.known(parent.manifest) if parent else None) or EMPTY
        except OperationFailed as error:
            # A record of the past that was damaged must not stop what is to come.
            self.s.reporter.note(f"{version.name} is recorded whole, not as a change of {version.parent}: {error}")
            return EMPTY

    def _rebuild(self, args: dict[str, Any]) -> Detail:
        lost = self._version(args["version"])
        self.s.reporter.note(f"the image of {lost.name} is gone: it is built again from commit {args['commit'][:10]}")
        started = self.s.clock()
        with interruptible(self.s, self.s.artifacts.checkout(self.config, lost)) as source:
            manifest = self.s.artifacts.manifest(source, keep=True)
            found = manifest.digest
            if found != lost.manifest:
                raise DeploymentFailed(
                    f"{lost.name} cannot be built again",
                    why=f"commit {args['commit'][:10]} gives other files than it was built from ({found[:19]}…,"
                    f" recorded is {lost.manifest[:19]}…)",
                    hint="were files in the build that Git ignores? release its source as a new version",
                )
            image_id = self._image(source, lost)
            self.s.artifacts.snapshot(self.app, lost.name, manifest)
        self.s.ledger.record_version(replace(lost, image_id=image_id))
        self.s.ledger.record_layers(self.app, lost.name, self.s.engine.layers(image_id))
        took = self.s.clock() - started
        self.s.reporter.note(f"{lost.name} was built again in {took:.1f} s; its manifest is the recorded one")
        return {"image_id": image_id, "manifest": found}

    def _image(self, config: Config, version: Version) -> str:
        labels = {
            "deployctl.app": self.app,
            "deployctl.version": version.name,
            "deployctl.manifest": version.manifest,
            "deployctl.state": self.s.names.state_id,
        }
        with self.s.interrupts.interruptible():
            return self.s.engine.build(
                config,
                version.name,
                labels=labels,
                progress=self.s.reporter.detail,
                cancelled=self.s.interrupts.check,
            )

    def _push(self, args: dict[str, Any]) -> Detail:
        version = self._version(args["version"])
        with self.s.interrupts.interruptible():
            pushed = self.s.engine.push(
                version.image_id,
                args["reference"],
                progress=self.s.reporter.detail,
                cancelled=self.s.interrupts.check,
            )
        self.s.ledger.record_version(replace(version, pushed=pushed))
        return {"pushed": pushed}

    def _pull(self, args: dict[str, Any]) -> Detail:
        lost = self._version(args["version"])
        started = self.s.clock()
        try:
            image_id = self._from_registry(lost)
        except EngineUnreachable:
            raise
        except OperationFailed as error:
            return {"image_id": self._instead_of_pull(lost, args, error), "rebuilt": True}
        if image_id != lost.image_id:
            self.s.ledger.record_version(replace(lost, image_id=image_id))
        seconds = self.s.clock() - started
        self.s.reporter.note(f"{lost.name} was pulled from {args['registry']} in {seconds:.1f} s")
        return {"image_id": image_id, "rebuilt": False}

    def _from_registry(self, lost: Version) -> str:
        self.s.artifacts.restore_snapshot(self.config, lost)  # first, for no registry has the weights
        with self.s.interrupts.interruptible():
            return self.s.engine.pull(lost, progress=self.s.reporter.detail, cancelled=self.s.interrupts.check)

    def _instead_of_pull(self, lost: Version, args: dict[str, Any], error: OperationFailed) -> str:
        """Builds again what cannot be pulled, where its commit is whole; returns the image's id."""
        if lost.git_commit is None or lost.git_dirty:
            built = "changes that were never committed" if lost.git_commit else "files outside of Git"
            raise DeploymentFailed(
                f"{lost.name} cannot be brought back: {error.message}",
                why=f"{error.why}; and it cannot be built again: it was built from {built}",
                hint=error.hint,
            ) from error
        self.s.reporter.note(str(error))
        try:
            found = self._rebuild({**args, "commit": lost.git_commit})
        except (OperationFailed, UsageError) as second:
            raise DeploymentFailed(
                f"{lost.name} can be neither pulled nor built again",
                why=f"{error}; and {second}",
                hint=error.hint,
                details=second.details,
            ) from second
        return str(found["image_id"])

    def _untag(self, args: dict[str, Any]) -> Detail:
        self.s.engine.untag(args["reference"])
        return {}

    def _version(self, name: str) -> Version:
        version = self.s.ledger.versions(self.app).get(name)
        if version is None:
            raise UsageError(f"the ledger does not know {name}", hint="deployctl tree")
        return version
