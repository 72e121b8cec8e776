"""The context that the steps of a deployment work in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.naming import image_labels
from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot, SlotPhase, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.manifest import Manifest
from orchestrator.domain.version.version import Version
from orchestrator.errors import Degraded, DeploymentFailed, UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.supply.source import Source

Detail = dict[str, object]
"""What the journal stores about a step, ready for JSON."""


@frozen
class Draft:
    """A version that is about to be made: its record, its source, and the manifest of the source.

    `complete` is False for an image that must be pulled: its layers are missing in the manifest.
    """

    version: Version
    source: Source
    manifest: Manifest
    complete: bool = True


@dataclass
class Work:
    """A deployment that is being carried out. `config` is what it deploys; `draft` is what it may build.

    A rollback and a recovery have no draft. `logs`: what new containers print is reported until they are ready.
    """

    services: Services
    deployment: Deployment
    plan: Plan
    config: Config
    draft: Draft | None = None
    logs: bool = False
    # The containers as they were before the deployment began, until a step changes one of them. Listing them again
    # takes several requests to the engine.
    seen: tuple[Container, ...] | None = field(default=None, repr=False)

    @property
    def app(self) -> str:
        return self.plan.app

    def version(self, name: str) -> Version:
        """A recorded version.

        Raises:
            UsageError: the ledger has no version of this name.
        """
        version = self.services.ledger.versions(self.app).get(name)
        if version is None:
            raise UsageError(f"the ledger has no version {name}", hint="deployctl tree")
        return version

    def in_slot(self, slot: Slot) -> list[Container]:
        """All containers in a slot, whatever their version."""
        containers = self.services.workloads.containers(self.app) if self.seen is None else self.seen
        return [container for container in containers if container.slot == slot]

    def containers(self, version: str, slot: Slot) -> list[Container]:
        """The containers of a version in a slot, in order of their indexes.

        Raises:
            DeploymentFailed: there are none.
        """
        containers = [container for container in self.in_slot(slot) if container.version == version]
        if not containers:
            raise DeploymentFailed(
                f"the containers of {version} in {slot} are gone",
                why="they were removed in the meantime",
                hint=f"deployctl release {version}",
            )
        return sorted(containers, key=lambda container: container.index)

    def reconnect(self, containers: Sequence[Container]) -> None:
        """Connects containers to their network again, with their own addresses. Those that are there are not changed.

        Raises:
            EngineError: the engine refuses.
        """
        services = self.services
        self.seen = None
        number = services.ledger.app_number(self.app)
        # Two apps must not create the network at the same moment.
        with services.locks.proxy():
            for container in containers:
                services.workloads.reconnect(container, number, self.config.network())

    def placed_by(self, slot: Slot) -> int:
        """The id of the deployment that placed the version in a slot."""
        state = self.services.ledger.slots(self.app).get(slot)
        return state.deployment if state is not None else self.deployment.id

    def record_slot(
        self, slot: Slot, version: str, state: SlotPhase, deployment: int, *, warm_until: str | None = None
    ) -> None:
        """Records the state of a slot from now on."""
        now = iso(self.services.wall())
        self.services.ledger.set_slot(SlotState(self.app, slot, version, deployment, state, now, warm_until))

    def set_traffic(self, state: TrafficState) -> None:
        """Makes `state` the traffic state, at the proxy first. May be repeated.

        `state.live` must be the slot that is live now.
        """
        services = self.services
        with services.locks.proxy():
            services.edge.up(services.ledger.proxy_apps(), services.progress)
            services.traffic.apply(self.app, state)
        services.ledger.set_traffic(self.app, state)

    def guard(self, step: Step) -> None:
        """Checks a step against the invariant of plans, with the traffic state on disk.

        Raises:
            Degraded: the step would stop or remove something in a slot that the traffic needs.
        """
        if step.takes is None:
            return
        state = self.services.traffic.on_disk(self.app)
        if state.needs(step.takes):
            raise Degraded(
                f"refused to {step.words}: requests of {self.app} go to {state}",
                hint="nothing was changed; run 'deployctl doctor'",
            )

    def labels(self, version: Version) -> dict[str, str]:
        """The labels of a version's image."""
        return image_labels(self.app, version.name, version.manifest, self.services.names.state_id)
