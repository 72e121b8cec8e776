"""Retire: keeps the previous version warm, stops it, or removes its containers."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from orchestrator.domain.moments import iso
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.slots import park
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.stop import Stop
from orchestrator.release.work import Detail, Work

How = Literal["keep warm", "stop", "remove"]


@frozen
class Retire(Action):
    """Keeps a version warm for `keep_warm` seconds, stops it, or removes its containers."""

    name: ClassVar[str] = "retire"
    version: str
    slot: Slot
    how: How
    keep_warm: float = 0.0

    @property
    def words(self) -> str:
        if self.how == "keep warm":
            return f"keep {self.version} running in {self.slot}, ready for a rollback"
        return f"{self.how} {self.version} in {self.slot}"

    @property
    def takes(self) -> Slot | None:
        return None if self.how == "keep warm" else self.slot

    def run(self, work: Work) -> Detail:
        services = work.services
        if self.how == "keep warm":
            until = iso(services.wall() + timedelta(seconds=self.keep_warm))
            work.record_slot(self.slot, self.version, "warm", work.placed_by(self.slot), warm_until=until)
            return {"warm_until": until}
        park(services, work.app, self.slot)
        if self.how == "stop":
            return Stop(self.version, self.slot).run(work)
        for container in work.in_slot(self.slot):
            if container.version == self.version:
                services.workloads.remove(container)
        services.ledger.clear_slot(work.app, self.slot)
        return {}
