"""Vacate: stops or removes the old containers in the slot that a version will start in."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.slots import park
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.remove import Remove
from orchestrator.release.steps.stop import Stop
from orchestrator.release.work import Detail, Work


@frozen
class Vacate(Action):
    """Stops the containers in a slot. Those of `version` are removed; with `keep` they are stopped and kept."""

    name: ClassVar[str] = "vacate"
    slot: Slot
    version: str
    keep: bool = False

    @property
    def words(self) -> str:
        return f"stop the old containers in {self.slot}"

    @property
    def takes(self) -> Slot:
        return self.slot

    def undo(self, plan: Plan) -> Step:
        return Stop(self.version, self.slot) if self.keep else Remove(self.version, self.slot)

    def run(self, work: Work) -> Detail:
        services = work.services
        removed, stopped = [], []
        for container in work.in_slot(self.slot):
            if container.version == self.version and not self.keep:
                services.workloads.remove(container)
                removed.append(container.name)
            elif container.state in ("running", "paused", "restarting"):
                park(services, work.app, self.slot)
                services.workloads.stop(container)
                stopped.append(container.name)
        services.ledger.clear_slot(work.app, self.slot)
        return {"removed": removed, "stopped": stopped}
