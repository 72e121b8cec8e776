"""Remove: removes the containers that a deployment has created. Undoes Create, Start and Vacate."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Remove(Action):
    """Removes the containers that this deployment created in a slot."""

    name: ClassVar[str] = "remove"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"remove the containers of {self.version} in {self.slot}"

    @property
    def takes(self) -> Slot:
        return self.slot

    def run(self, work: Work) -> Detail:
        services = work.services
        removed = []
        for container in work.in_slot(self.slot):
            if container.deployment == work.deployment.id:
                services.workloads.remove(container)
                removed.append(container.name)
        state = services.ledger.slots(work.app).get(self.slot)
        if state is not None and state.deployment == work.deployment.id:
            services.ledger.clear_slot(work.app, self.slot)
        with services.locks.proxy():
            services.workloads.tidy()
        return {"removed": removed}
