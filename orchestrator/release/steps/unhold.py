"""Unhold: undoes a hold: the requests that wait are answered by the version that was live."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.held import unanswered_since
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Unhold(Action):
    """Sends the requests to `live` again, those that wait as well."""

    name: ClassVar[str] = "unhold"
    live: Slot

    @property
    def words(self) -> str:
        return f"send requests to {self.live} again"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(self.live)

    def run(self, work: Work) -> Detail:
        work.set_traffic(self.leads_to)
        return unanswered_since(work)
