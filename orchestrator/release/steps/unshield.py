"""Unshield: the fallback slot is about to be used for another version."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot, other
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.slots import remove_shield
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Unshield(Action):
    """Ends the shield: `slot` keeps all traffic and has no fallback any more."""

    name: ClassVar[str] = "unshield"
    slot: Slot

    @property
    def words(self) -> str:
        return f"stop using {other(self.slot)} as the fallback of {self.slot}"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(live=self.slot)

    def run(self, work: Work) -> Detail:
        with work.services.locks.proxy():
            remove_shield(work.services, work.app)
        return {}
