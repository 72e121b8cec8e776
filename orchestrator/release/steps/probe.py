"""Probe: waits until a version is ready."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.health.endings import Ending
from orchestrator.domain.health.probe import ProbeSpec, Ready, Target
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import OperationFailed, ProbeFailed
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.ports.workloads import Workloads
from orchestrator.release.diagnosis import Diagnosis
from orchestrator.release.followed import followed
from orchestrator.release.logs import shown_lines
from orchestrator.release.probes import probe_of
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work

# The time that the proxy needs for its own checks after the probes have passed, besides one interval. Seconds.
_PROXY_TIMEOUT = 10.0
# Seconds between two looks at the containers while the proxy checks them.
_LOOK_EVERY = 0.5
# Warm containers must answer within this time, in seconds.
_WARM_DEADLINE = 5.0


@frozen
class Probe(Action):
    """Waits until every container of a version passes its probes, and the health checks of the proxy as well."""

    name: ClassVar[str] = "probe"
    version: str
    slot: Slot
    warm: bool = False

    @property
    def words(self) -> str:
        return f"wait until {self.version} is ready"

    def run(self, work: Work) -> Detail:
        services = work.services
        containers = work.containers(self.version, self.slot)
        spec = work.config.probe_spec()
        if self.warm:
            # The proxy has checked these containers all the time, so one probe is enough.
            spec = probe_of(services, work.app, self.slot, self.version, work.config)
            spec = replace(spec, successes=1, deadline=min(spec.deadline, _WARM_DEADLINE))
        started = services.clock()
        diagnosis = Diagnosis(work, spec, containers)
        try:
            with services.interrupts.interruptible(), followed(work, containers):
                ready = services.prober.wait_ready(
                    [Target(container.name, container.address) for container in containers],
                    spec,
                    alive=_liveness(services.workloads, containers),
                    progress=services.progress,
                    diagnose=diagnosis,
                )
                if not self.warm:
                    self._let_the_proxy_check(work, spec, ready)
                services.endpoints.wait_up(
                    work.app,
                    self.slot,
                    len(containers),
                    # Its first check comes within an interval.
                    timeout=_PROXY_TIMEOUT + spec.interval + spec.timeout,
                    cancelled=_unless_ended(work, containers),
                )
        except ProbeFailed as error:
            _explain(error, diagnosis)
            error.details = shown_lines(work.services, work.config, containers)
            error.hint = error.hint or f"fix it and release it again; the full log: deployctl logs {self.version}"
            raise
        restarts = {container.id: container.restarts for container in containers}
        return {"seconds": round(services.clock() - started, 3), "restarts": restarts}

    def _let_the_proxy_check(self, work: Work, spec: ProbeSpec, ready: Ready) -> None:
        """The proxy begins to check the containers, where they answered and as suits how they end a connection."""
        services = work.services
        with services.locks.proxy():
            known = services.ledger.proxy_app(work.app)
            if known is None or self.slot not in known.slots:
                return
            endpoints = replace(known.slots[self.slot], active=True, closing=ready.closing, probe=spec.at(ready.path))
            services.ledger.save_proxy_app(replace(known, slots={**known.slots, self.slot: endpoints}))
            services.edge.apply(services.ledger.proxy_apps(), services.progress)
            services.endpoints.register(work.app, self.slot, endpoints)


def _explain(error: ProbeFailed, diagnosis: Diagnosis) -> None:
    """Adds what is known about a container that has ended."""
    if error.hint:
        return
    try:
        cause = diagnosis.ended()
    except OperationFailed:
        return  # the engine does not answer: the error stands as it is
    if cause is not None:
        error.hint = cause.hint
        error.why = f"{error.why}; {cause.why}" if cause.why else error.why


def _unless_ended(work: Work, containers: Sequence[Container]) -> Callable[[], None]:
    """A function that raises when a signal came, or when a container has ended since this call: what the proxy then
    reports, that it cannot connect, is not the reason.
    """
    services = work.services
    alive = _liveness(services.workloads, containers)
    looked = -math.inf

    def check() -> None:
        nonlocal looked
        services.interrupts.check()
        if services.clock() - looked < _LOOK_EVERY:
            return
        looked = services.clock()
        for container in containers:
            why = alive(Target(container.name, container.address))
            if why is not None:
                raise ProbeFailed(f"{container.name} is no longer ready", why=why)

    return check


def _liveness(workloads: Workloads, containers: Sequence[Container]) -> Callable[[Target], str | None]:
    """A function that says how a container has ended since this call; None when it still runs."""
    by_name = {container.name: container for container in containers}

    def alive(target: Target) -> str | None:
        before = by_name[target.name]
        now = workloads.inspect(before.id)
        return "it was removed" if now is None else ended(now, before.restarts) or None

    return alive


def probed_restarts(services: Services, deployment: int) -> dict[str, int]:
    """How often each container had been restarted when it passed its probes in a deployment, by the container's id."""
    for step in reversed(services.ledger.steps(deployment)):
        if step.name == Probe.name and step.state == "done":
            found: dict[str, int] = step.detail.get("restarts", {})
            return found
    return {}


def ended(now: Container, restarts: int) -> str:
    """How a container has exited since it had been restarted `restarts` times; empty: it has not."""
    # The engine does not say how one that runs again has exited.
    how = "it exited" if now.running else f"it exited with {Ending(now.exit_code, now.out_of_memory)}"
    if now.restarts > restarts:
        return f"{how}, and the engine restarted it"
    return "" if now.running else how
