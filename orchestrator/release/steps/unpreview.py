"""Unpreview: undoes `Preview`. The version in the other slot does not answer at the preview address any more."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Unpreview(Action):
    """Ends the preview. `slot` has all requests, as it had before."""

    name: ClassVar[str] = "unpreview"
    slot: Slot

    @property
    def words(self) -> str:
        return "end the preview"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(self.slot)

    def run(self, work: Work) -> Detail:
        put(work, self.leads_to)
        return {}


def put(work: Work, state: TrafficState) -> None:
    """Makes `state` the traffic state, at the proxy first. It has the live slot that there is. May be repeated."""
    services = work.services
    with services.locks.proxy():
        services.edge.up(services.ledger.proxy_apps(), services.progress)
        services.traffic.apply(work.app, state)
    services.ledger.set_traffic(work.app, state)
