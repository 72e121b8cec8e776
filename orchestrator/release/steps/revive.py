"""Revive: undoes a halt: the version that was live runs again."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.config import Config
from orchestrator.domain.health.probe import Target
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.probes import probe_of
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work

# The time that the proxy needs for its own check, besides one interval, in seconds.
_PROXY_TIMEOUT = 10.0


@frozen
class Revive(Action):
    """Starts the containers of a version that was stopped for another one, and waits until they are ready."""

    name: ClassVar[str] = "revive"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"start {self.version} again in {self.slot}"

    def run(self, work: Work) -> Detail:
        services = work.services
        work.seen = None
        containers = work.containers(self.version, self.slot)
        work.reconnect(containers)
        for container in containers:
            services.workloads.start(container)
            services.workloads.keep_running(container)
        # It ran with its own settings, not with those of the version that was to replace it.
        own = Config.from_snapshot(services.ledger.settings(work.app, self.version))
        spec = probe_of(services, work.app, self.slot, self.version, own)
        started = services.clock()
        services.prober.wait_ready(
            [Target(container.name, container.address) for container in work.containers(self.version, self.slot)],
            replace(spec, successes=1),
            alive=lambda target: None,
            progress=services.progress,
        )
        services.endpoints.wait_up(
            work.app,
            self.slot,
            len(containers),
            timeout=_PROXY_TIMEOUT + spec.interval + spec.timeout,
            cancelled=lambda: None,
        )
        return {"seconds": round(services.clock() - started, 3)}
