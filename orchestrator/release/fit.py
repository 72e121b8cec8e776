"""Measures for `domain.rollout.fit` whether a release fits. It asks the engine nothing that is not known already."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orchestrator.config import Config
from orchestrator.domain.naming import next_version
from orchestrator.domain.rollout.fit import Copies, Fit, Memory, Strategy, combined, memory_fit
from orchestrator.domain.rollout.gpu_fit import Placed, Selection, gpu_fit
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot, other
from orchestrator.errors import EngineError
from orchestrator.ports.host import HostMemory
from orchestrator.ports.services import Services


def strategy_of(config: Config) -> Strategy:
    """How a release of this configuration replaces the live version."""
    return config.rollout.strategy


def release_fit(
    services: Services, config: Config, observed: Observed, requested: str | None, strategy: Strategy
) -> Fit:
    """Whether `requested` (None: the next version) fits beside what runs while it is released.

    Unknown when the engine is on another machine.
    """
    version = requested or next_version(list(observed.versions))
    live = observed.live
    slot: Slot = other(live.slot) if live else "blue"
    serving = _running(observed.of(live.version, live.slot)) if live else ()
    # They are stopped before the new containers are created.
    leaving = _running(container for container in observed.containers if container.slot == slot)
    run = config.run
    copies = Copies(version, live.version if live else None, strategy, run.replicas, run.memory)
    host = _memory_here(services)
    if host is None:
        return Fit()
    parts = [memory_fit(copies, _memory(services, host, serving, leaving))]
    if run.gpus is not None:
        ids = frozenset(container.id for container in serving)
        placed = Placed(ids, _gpus_of_live(services, observed) if ids else ())
        left = {container.id for container in leaving}
        gpus = services.host.gpus(ids | left)
        parts.append(gpu_fit(copies, gpus, _gpus(config, slot), placed, left))
    return combined(*parts)


def _memory_here(services: Services) -> HostMemory | None:
    """The memory of the engine's machine; None when that is not this machine, or not known."""
    host = services.host.memory()
    try:
        machine = services.workloads.machine()
    except EngineError:
        return None  # a step fails, so that the failure is recorded
    # Both come from the kernel, so on one machine they are the same to the byte.
    same = host is not None and (host.total, host.kernel) == (machine.memory, machine.kernel)
    return host if same else None


def _memory(
    services: Services, host: HostMemory, serving: Collection[Container], leaving: Collection[Container]
) -> Memory:
    live = _measured(services, serving)
    return Memory(host.total, host.available, sum(live), len(live), sum(_measured(services, leaving)))


def _measured(services: Services, containers: Iterable[Container]) -> list[int]:
    found = [services.host.memory_of(container.id, container.pid) for container in containers]
    return [used for used in found if used is not None]


def _running(containers: Iterable[Container]) -> tuple[Container, ...]:
    return tuple(container for container in containers if container.running)


def _gpus_of_live(services: Services, observed: Observed) -> tuple[Selection, ...]:
    live = observed.live
    assert live is not None, "its containers run"
    return _gpus(Config.from_snapshot(services.ledger.settings(observed.app, live.version)), live.slot)


def _gpus(config: Config, slot: Slot) -> tuple[Selection, ...]:
    return tuple(config.run.gpus_of(slot, index) for index in range(1, config.run.replicas + 1))
