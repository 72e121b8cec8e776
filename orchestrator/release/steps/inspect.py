"""Inspect: the last look at a version before it gets traffic."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ProbeFailed
from orchestrator.frozen import frozen
from orchestrator.release.logs import shown_lines
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.probe import ended, probed_restarts
from orchestrator.release.work import Detail, Work

# How long the edge may take to find a replica up again that it has just found down, in seconds.
_EDGE_TIMEOUT = 2.0


@frozen
class Inspect(Action):
    """Checks that every container is the one that was probed, runs, was not restarted since, and is up at the edge."""

    name: ClassVar[str] = "inspect"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"check that {self.version} still runs"

    def run(self, work: Work) -> Detail:
        services = work.services
        # A candidate passed its probes in the release that started it.
        rollout = services.ledger.open_rollout(work.app)
        probed = probed_restarts(services, work.deployment.id if rollout is None else rollout.deployment)
        containers = work.containers(self.version, self.slot)
        listed = {container.index for container in containers}
        changes = {
            services.workloads.name(work.app, self.version, self.slot, index): "it was removed"
            for index in range(1, len(probed) + 1)
            if index not in listed
        }
        # Asked again: the list may be older than the probes.
        for container in containers:
            changes[container.name] = _changed(services.workloads.inspect(container.id), probed.get(container.id))
        for name, why in changes.items():
            if why:
                raise ProbeFailed(
                    f"{name} is no longer ready",
                    why=why,
                    hint=f"fix it and release it again; the full log: deployctl logs {self.version}",
                    details=shown_lines(work.services, work.config, containers),
                )
        with services.interrupts.interruptible():
            services.endpoints.wait_up(
                work.app, self.slot, len(containers), timeout=_EDGE_TIMEOUT, cancelled=services.interrupts.check
            )
        return {}


def _changed(now: Container | None, restarts: int | None) -> str:
    """What has changed since the probes; empty when nothing has."""
    if now is None:
        return "it was removed"
    if restarts is None:
        return "it is not the container that passed the probes"
    return ended(now, restarts)
