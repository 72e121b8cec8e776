"""Probes of one container until it is certain whether it is ready, and if it is not, whether its process lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.health.probe import ProbeSpec, Reply, judge
from orchestrator.domain.rollout.workload import Container
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.probes import probe_of

# How long a pass waits for a container that it has repaired: a model that starts quickly answers within that. Seconds.
_REPAIRED = 5.0
_PAUSE = 0.25


@frozen
class Probed:
    """The result of probing a container `count` times: why it is not ready, empty when it is.

    `answers`: it is not ready, but its process lives. `hopeless`: it says that it will not become ready. `seconds` is
    how long the probes took.
    """

    failure: str = ""
    answers: bool = False
    count: int = 0
    hopeless: bool = False
    seconds: float = 0.0


def probe_container(services: Services, config: Config, spec: ProbeSpec, address: str) -> Probed:
    """Probes a container: whether it is ready, and if not, whether its process lives."""
    started = services.clock()
    probed = _probe_container(services, config, spec, address)
    return replace(probed, seconds=services.clock() - started)


def _probe_container(services: Services, config: Config, spec: ProbeSpec, address: str) -> Probed:
    live = config.live_spec()
    probed = probe_until_certain(services, config, lambda: services.prober.probe(address, spec), spec)
    if not probed.failure or probed.hopeless or live is None:
        return probed
    lives = probe_until_certain(services, config, lambda: services.prober.probe(address, live), live)
    if not lives.failure:
        return Probed(probed.failure, answers=True, count=probed.count + lives.count)
    failure = f"{probed.failure}; {live.path}: {lives.failure}"
    return Probed(failure, answers=False, count=probed.count + lives.count)


def probe_until_certain(services: Services, config: Config, probe: Callable[[], Reply], spec: ProbeSpec) -> Probed:
    """Probes until `watchdog.failures` of `watchdog.probes` have failed, or cannot fail any more.

    It answers when any reply was HTTP, unless the last one says that the server has failed for good.
    """
    watch = config.watchdog
    good = bad = 0
    reason, answers = "", False
    while True:
        reply = probe()
        judgement = judge(spec, reply)
        if judgement.ready:
            good += 1
        else:
            bad, reason = bad + 1, judgement.reason
        answers = answers or reply.status is not None
        count = good + bad
        if bad >= watch.failures:
            failure, hopeless = f"{bad} of {count} probes failed, last: {reason}", judgement.hopeless
            return Probed(failure, answers and not hopeless, count, hopeless)
        # One good reply is enough when no reply was bad, as in most passes.
        if bad == 0 or watch.probes - count < watch.failures - bad:
            return Probed(count=count)
        services.sleep(min(config.health.interval, 1.0))


def ready_soon(services: Services, config: Config, containers: Iterable[Container]) -> list[Container]:
    """Those of some containers that become ready within a few seconds."""
    end = services.clock() + _REPAIRED
    asked = list(containers)
    # Not in the threads, which must not share the connection to the ledger.
    specs = {each.id: probe_of(services, each.app, each.slot, each.version, config) for each in asked}

    def ask(container: Container) -> bool:
        spec = specs[container.id]
        while not judge(spec, services.prober.probe(container.address, spec)).ready:
            if services.clock() >= end:
                return False
            services.sleep(_PAUSE)
        return True

    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        return [each for each, ready in zip(asked, pool.map(ask, asked), strict=True) if ready]
