"""Healing: brings the live version's containers back to what the ledger says, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.config import Config
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.errors import EngineUnreachable, OperationFailed
from orchestrator.ports.secrets import Order
from orchestrator.ports.services import Services
from orchestrator.release.workloads import workload_spec
from orchestrator.supply.model_files import restore

_ENDED = ("exited", "created", "dead")


@dataclass
class Healed:
    """What was repaired, and what could not be, in words."""

    repaired: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Healer:
    """The replicas of an app's live version, and what each of them needs."""

    def __init__(self, services: Services, observed: Observed, live: SlotState) -> None:
        self.services, self.app, self.live = services, observed.app, live
        self.version = observed.versions[live.version]
        self.config = Config.from_snapshot(services.ledger.settings(observed.app, live.version))
        self.containers = {container.index: container for container in observed.of(live.version, live.slot)}
        known = services.ledger.proxy_app(observed.app)
        # Where the proxy expects them.
        self._addresses = known.slots[live.slot].addresses if known and live.slot in known.slots else ()

    @property
    def indexes(self) -> list[int]:
        """The replicas that exist, and those that should."""
        return sorted({*self.containers, *range(1, self.config.run.replicas + 1)})

    def name(self, index: int) -> str:
        """What a replica's container is called, or would be."""
        if index in self.containers:
            return self.containers[index].name
        return self.services.workloads.name(self.app, self.live.version, self.live.slot, index)

    def fault(self, index: int) -> str:
        """What is wrong with a replica by the engine's word, for people; empty when nothing is."""
        container = self.containers.get(index)
        if container is None:
            return "it was removed"
        if container.state in _ENDED:
            return f"it ended with exit code {container.exit_code}"
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
        if self._detached(container):
            with self.services.locks.proxy():  # two apps must not create the network at the same moment
                workloads.reconnect(container, self.services.ledger.app_number(self.app))
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
        """Ends a replica that runs and does not answer, and starts it again."""
        container = self.containers[index]
        self.services.workloads.restart(container)
        return f"{container.name} restarted"

    def _detached(self, container: Container) -> bool:
        if container.state == "restarting":
            return False
        if container.index > len(self._addresses):
            return not container.address
        return container.address != self._addresses[container.index - 1]

    def _recreate(self, index: int) -> str:
        self._restore_files()
        live = self.live
        with self.services.locks.proxy():
            spec = workload_spec(self.services, self.config, self.version, live.slot, index, live.deployment)
            container = self.services.workloads.create(spec)
        self.services.workloads.keep_running(container)
        self.services.workloads.start(container)
        return f"{container.name} recreated"

    def _restore_files(self) -> None:
        """Puts the model files and the secrets where the containers expect them.

        All replicas have the same secrets: a value that was changed since counts only when no replica is left.
        """
        order: Order = ("copy", "source") if self.containers else ("source", "copy")
        self.services.secrets.store(self.config, self.live.version, self.live.deployment, order=order)
        restore(self.services, self.config, self.version, self.services.progress)


def heal(services: Services, observed: Observed) -> Healed:
    """Repairs every replica of the live version. May be repeated.

    A container that cannot be repaired stops neither the others nor the command that asked: a rollback may be what
    helps.

    Raises:
        EngineUnreachable: nothing can be repaired now.
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
