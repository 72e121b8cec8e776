"""Unshare: the candidate loses its share of the requests. The point of no return of an abort."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.moments import iso
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.evidence import finished
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Unshare(Action):
    """Sends all requests to `live` again, and ends the rollout. `bad`: the version is marked as bad."""

    name: ClassVar[str] = "unshare"
    commits: ClassVar[bool] = True
    version: str
    live: Slot
    bad: bool = False

    @property
    def words(self) -> str:
        return f"send no more requests to {self.version}"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(self.live)

    def run(self, work: Work) -> Detail:
        services = work.services
        rollout = services.ledger.open_rollout(work.app)
        with services.locks.proxy():
            services.edge.up(services.ledger.proxy_apps(), services.progress)
            if rollout is not None:
                evidence = finished(services, rollout, work.config.judge.latency_ratio)
            services.traffic.apply(work.app, self.leads_to)
        services.ledger.set_traffic(work.app, self.leads_to)
        if rollout is not None:
            ended, why = iso(services.wall()), work.deployment.reason
            services.ledger.set_rollout(replace(rollout, ended_at=ended, outcome="aborted", why=why, evidence=evidence))
        if self.bad:
            services.ledger.mark_bad(work.app, self.version, work.deployment.reason)
        services.interrupts.disarm()
        return {}
