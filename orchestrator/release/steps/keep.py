"""Keep: the engine restarts the containers of a version automatically from now on."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Keep(Action):
    """Enables automatic restart of a version's containers. Before that, an exit means that the version has failed."""

    name: ClassVar[str] = "keep"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"enable automatic restart of {self.version}"

    def run(self, work: Work) -> Detail:
        for container in work.containers(self.version, self.slot):
            work.services.workloads.keep_running(container)
        return {}
