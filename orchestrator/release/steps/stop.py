"""Stop: stops the containers of a version and keeps them. Undoes the start of kept containers."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Stop(Action):
    """Stops the containers of a version in a slot and keeps them."""

    name: ClassVar[str] = "stop"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"stop {self.version} in {self.slot}"

    @property
    def takes(self) -> Slot:
        return self.slot

    def run(self, work: Work) -> Detail:
        for container in work.in_slot(self.slot):
            if container.version == self.version:
                work.services.workloads.stop(container)
        work.record_slot(self.slot, self.version, "cold", work.placed_by(self.slot))
        return {}
