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
        work.set_traffic(self.leads_to)
        return {}
