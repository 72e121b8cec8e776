"""Unswitch: undoes a switch that was begun and not completed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.moments import iso
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Unswitch(Action):
    """Switches the traffic back: `slot` is live again, and a candidate has its share, or requests wait, as before."""

    name: ClassVar[str] = "unswitch"
    version: str
    slot: Slot
    candidate: Slot | None = None
    share: int = 0
    shield: bool = False
    preview: bool = False
    patience: float = 0.0
    held: float = 0.0
    sessions: bool = False

    @property
    def words(self) -> str:
        return f"switch traffic back to {self.slot}"

    @property
    def leads_to(self) -> TrafficState:
        shown = (self.shield, self.preview, self.held, self.patience)
        return TrafficState(self.slot, self.candidate, self.share, *shown, sessions=self.sessions)

    def run(self, work: Work) -> Detail:
        services = work.services
        with services.locks.proxy():
            services.edge.up(services.ledger.proxy_apps(), services.progress)
            services.traffic.apply(work.app, self.leads_to)
            since = iso(services.wall())
        state = services.ledger.slots(work.app).get(self.slot)
        if state is None or (state.state == "ready" and services.ledger.traffic(work.app).live == self.slot):
            services.ledger.set_traffic(work.app, self.leads_to)
        else:
            # If it was baking, its bake continues.
            services.ledger.go_live(replace(state, state="ready", since=since, warm_until=None), self.leads_to)
        return {}
