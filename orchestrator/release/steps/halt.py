"""Halt: stops the live version, while requests wait, to make room for the next one."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.revive import Revive
from orchestrator.release.work import Detail, Work


@frozen
class Halt(Action):
    """Stops the containers of the live version and keeps them. Possible only while requests wait."""

    name: ClassVar[str] = "halt"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"stop {self.version} in {self.slot}, while requests wait"

    @property
    def takes(self) -> Slot:
        return self.slot

    def undo(self, plan: Plan) -> Step:
        return Revive(self.version, self.slot)

    def run(self, work: Work) -> Detail:
        work.seen = None
        for container in work.in_slot(self.slot):
            if container.version == self.version:
                work.services.workloads.stop(container)
        return {}
