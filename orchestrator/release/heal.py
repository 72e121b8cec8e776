"""Healing: brings the live version's containers back to what the ledger says, and nothing else."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.domain.rollout.plan import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.errors import EngineUnreachable, OperationFailed
from orchestrator.ports.old import Order
from orchestrator.ports.services import Services
from orchestrator.release.settings import settings_digest


class Healer:
    """The replicas of an app's live version, and what each needs."""

    def __init__(self, services: Services, observed: Observed, live: SlotState) -> None:
        self.s, self.observed, self.live = services, observed, live
        self.config = Config.from_snapshot(services.ledger.settings(observed.app, live.version))
        self.there = {container.index: container for container in observed.of(live.version, live.slot)}
        entry = services.ledger.proxy_app(observed.app)
        # Where the proxy asks for them.
        self.known = entry.slots[live.slot].addresses if entry and live.slot in entry.slots else ()

    @property
    def indexes(self) -> list[int]:
        """The replicas that are there, and those that should be."""
        return sorted({*self.there, *range(1, self.config.run.replicas + 1)})

    def name(self, index: int) -> str:
        """What a replica's container is called, or would be."""
        if index in self.there:
            return self.there[index].name
        return self.s.names.container(self.observed.app, self.live.version, self.live.slot, index)

    def ailment(self, index: int) -> str:
        """What is wrong with a replica, in words; empty when the engine has it as it should be."""
        container = self.there.get(index)
        if container is None:
            return "it is gone"
        if container.state in ("exited", "created", "dead"):
            return f"it ended with exit code {container.exit_code}"
        if container.state == "paused":
            return "it is paused"
        # The proxy asks at this address, and nowhere else.
        if self._lost(container):
            return "it has lost its place in the network"
        if not container.kept_running:
            return "the engine would not start it again"
        return ""

    def mend(self, index: int) -> list[str]:
        """Brings a replica back; returns what was done, in words. Doing it twice changes nothing more.

        Raises:
            EngineError: the engine refused.
        """
        container = self.there.get(index)
        if container is None:
            return [self._replace(index)]
        done = []
        if self._lost(container):
            self.s.engine.connect(container, self._address(index))
            done.append(f"{container.name} connected to the network again")
        if container.state == "paused":
            self.s.engine.unpause(container)
            done.append(f"{container.name} woken up")
        elif container.state in ("exited", "created", "dead"):
            self._secrets()
            self.s.artifacts.restore_snapshot(self.config, self.observed.versions[self.live.version])
            self.s.engine.set_restart(container, "always")
            self.s.engine.start(container)
            done.append(f"{container.name} started again")
        elif not container.kept_running:
            self.s.engine.set_restart(container, "always")
            done.append(f"{container.name} will be started again by the engine")
        return done

    def restart(self, index: int) -> str:
        """Ends a replica that runs and does not answer, and starts it again."""
        container: Container = self.there[index]
        self.s.engine.restart(container)
        return f"{container.name} restarted"

    def _lost(self, container: Container) -> bool:
        if container.state == "restarting":
            return False
        if container.index > len(self.known):
            return not container.address
        return container.address != self.known[container.index - 1]

    def _address(self, index: int) -> str:
        with self.s.locks.proxy():  # two apps that make the network at once would make two
            subnet = self.s.engine.ensure_network()
        return self.s.addresses(self.observed.app, self.live.slot, index, subnet)[-1]

    def _secrets(self) -> None:
        """Has the secrets' files where the containers look for them.

        All replicas have the same ones: what was rotated since counts only when none of them is there.
        """
        order: Order = ("copy", "source") if self.there else ("source", "copy")
        self.s.secrets.store(self.config, self.live.version, self.live.deployment, order=order)

    def _replace(self, index: int) -> str:
        version = self.observed.versions[self.live.version]
        self.s.artifacts.restore_snapshot(self.config, version)
        self._secrets()
        container = self.s.engine.create(
            self.config,
            version,
            self.live.slot,
            index,
            deployment=self.live.deployment,
            address=self._address(index),
            settings=settings_digest(self.config),
        )
        self.s.engine.set_restart(container, "always")
        self.s.engine.start(container)
        return f"{container.name} made again"


def heal(services: Services, observed: Observed) -> tuple[list[str], list[str]]:
    """What was mended, and what could not be, in words. Doing it twice changes nothing more.

    One container that cannot be mended stops neither the others nor the command that asked: a rollback may be
    just what helps.

    Raises:
        EngineUnreachable: nothing can be mended now.
    """
    if observed.live is None:
        return [], []
    healer = Healer(services, observed, observed.live)
    mended: list[str] = []
    failed: list[str] = []
    for index in healer.indexes:
        try:
            mended += healer.mend(index)
        except EngineUnreachable:
            raise
        except OperationFailed as error:
            name = healer.name(index)
            failed.append(str(error) if name in str(error) else f"{name}: {error}")
    return mended, failed
