"""Healing: repairs the containers of the live version, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.config import Config
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.errors import EngineUnreachable, OperationFailed
from orchestrator.ports.secrets import Order
from orchestrator.ports.services import Services
from orchestrator.release.addresses import register_address
from orchestrator.release.workloads import workload_spec
from orchestrator.supply.model_files import restore

_ENDED = ("exited", "created", "dead")


@dataclass
class Healed:
    """What was repaired and what could not be repaired, in words."""

    repaired: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Healer:
    """Finds and repairs faults of the replicas of an app's live version."""

    def __init__(self, services: Services, observed: Observed, live: SlotState) -> None:
        self.services, self.app, self.live = services, observed.app, live
        self.version = observed.versions[live.version]
        self.config = Config.from_snapshot(services.ledger.settings(observed.app, live.version))
        self.containers = {container.index: container for container in observed.of(live.version, live.slot)}
        known = services.ledger.proxy_app(observed.app)
        # The addresses that the proxy sends requests to: a container with another one gets none.
        self._addresses = known.slots[live.slot].addresses if known and live.slot in known.slots else ()

    @property
    def indexes(self) -> list[int]:
        """The indexes of the replicas that exist or should exist."""
        return sorted({*self.containers, *range(1, self.config.run.replicas + 1)})

    def name(self, index: int) -> str:
        """The name of a replica's container, which need not exist."""
        if index in self.containers:
            return self.containers[index].name
        return self.services.workloads.name(self.app, self.live.version, self.live.slot, index)

    def fault(self, index: int) -> str:
        """What is wrong with a replica according to the engine, in words; empty when nothing is."""
        container = self.containers.get(index)
        if container is None:
            return "it was removed"
        if container.state in _ENDED:
            return f"it exited with exit code {container.exit_code}"
        if container.state == "paused":
            return "it is paused"
        if self._detached(container):
            return "it is detached from its network"
        if not container.kept_running:
            return "its automatic restart is disabled"
        return ""

    def repair(self, index: int) -> list[str]:
        """Repairs a replica; returns what was done, in words. May be repeated.

        Raises:
            EngineError: the engine refused.
        """
        container = self.containers.get(index)
        if container is None:
            return [self._recreate(index)]
        workloads = self.services.workloads
        done = []
        detached = self._detached(container)
        # A network that was removed and made again has the old name, and a container that ended does not know it.
        if detached or container.state in _ENDED:
            self._reconnect(container)
        if detached:
            done.append(f"{container.name} reconnected to its network")
        if container.state == "paused":
            workloads.resume(container)
            done.append(f"{container.name} unpaused")
        elif container.state in _ENDED:
            self._restore_files()
            workloads.keep_running(container)
            workloads.start(container)
            done.append(f"{container.name} started again")
        elif not container.kept_running:
            workloads.keep_running(container)
            done.append(f"{container.name}: automatic restart enabled")
        return done

    def restart(self, index: int) -> str:
        """Restarts a replica that runs but does not answer; returns what was done, in words.

        Raises:
            EngineError: the engine refused.
        """
        container = self.containers[index]
        self.services.workloads.restart(container)
        return f"{container.name} restarted"

    def _detached(self, container: Container) -> bool:
        if container.state == "restarting":
            return False
        if not container.address or container.index > len(self._addresses):
            return not container.address
        return container.address != self._addresses[container.index - 1]

    def _reconnect(self, container: Container) -> None:
        services = self.services
        with services.locks.proxy():  # two apps must not create the network at the same moment
            services.workloads.reconnect(container, services.ledger.app_number(self.app), self.config.network())
        now = services.workloads.inspect(container.id)
        if now is not None:
            self._register(now)

    def _register(self, container: Container) -> None:
        """Makes the proxy use the container's address: that of a network that was made again may be another one."""
        register_address(self.services, self.app, self.live.slot, container.index, container.address)

    def _recreate(self, index: int) -> str:
        self._restore_files()
        live = self.live
        with self.services.locks.proxy():
            spec = workload_spec(self.services, self.config, self.version, live.slot, index, live.deployment)
            container = self.services.workloads.create(spec)
        # Before it starts: until then the requests may go to whoever has the old address now.
        self._register(container)
        self.services.workloads.keep_running(container)
        self.services.workloads.start(container)
        return f"{container.name} recreated"

    def _restore_files(self) -> None:
        """Restores the model files and the secrets that the containers mount.

        All replicas must have the same secrets: changed values are used only when no replica exists any more.
        """
        order: Order = ("copy", "source") if self.containers else ("source", "copy")
        self.services.secrets.store(self.config, self.live.version, self.live.deployment, order=order)
        restore(self.services, self.config, self.version, self.services.progress)


def heal(services: Services, observed: Observed) -> Healed:
    """Repairs every replica of the live version. May be repeated.

    A replica that cannot be repaired is reported and does not stop the command, which may be the rollback that is
    needed.

    Raises:
        EngineUnreachable: the engine does not answer, so nothing can be repaired.
    """
    healed = Healed()
    if observed.live is None:
        return healed
    healer = Healer(services, observed, observed.live)
    for index in healer.indexes:
        try:
            healed.repaired += healer.repair(index)
        except EngineUnreachable:
            raise
        except OperationFailed as error:
            name = healer.name(index)
            healed.failed.append(str(error) if name in str(error) else f"{name}: {error}")
    return healed
