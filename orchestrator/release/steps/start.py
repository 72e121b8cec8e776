"""Start: starts the containers of a version."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.remove import Remove
from orchestrator.release.steps.stop import Stop
from orchestrator.release.work import Detail, Work
from orchestrator.supply.model_files import restore


@frozen
class Start(Action):
    """Starts the containers of a version in a slot: new ones, or those that were kept."""

    name: ClassVar[str] = "start"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"start {self.version} in {self.slot}"

    def undo(self, plan: Plan) -> Step:
        return Stop(self.version, self.slot) if plan.mode == "start" else Remove(self.version, self.slot)

    def run(self, work: Work) -> Detail:
        services = work.services
        containers = work.containers(self.version, self.slot)
        restore(services, work.config, work.version(self.version), services.progress)
        work.record_slot(self.slot, self.version, "starting", work.deployment.id)
        if work.plan.mode == "start":
            # While they were stopped, their network may have been removed and made again.
            work.reconnect(containers)
        for container in containers:
            services.workloads.start(container)
        return {"containers": [container.name for container in containers]}
