"""Create: creates the containers of a version, and the files of the host that they mount."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.ports.secrets import Order
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.remove import Remove
from orchestrator.release.work import Detail, Work
from orchestrator.release.workloads import workload_spec
from orchestrator.supply.model_files import restore
from orchestrator.text import counted


@frozen
class Create(Action):
    """Creates the replicas of a version in a slot, and their copy of the secrets. Does not start them."""

    name: ClassVar[str] = "create"
    version: str
    slot: Slot
    replicas: int

    @property
    def words(self) -> str:
        return f"create {counted(self.replicas, 'container')} of {self.version} in {self.slot}"

    def undo(self, plan: Plan) -> Remove:
        return Remove(self.version, self.slot)

    def run(self, work: Work) -> Detail:
        services = work.services
        version = work.version(self.version)
        # A release uses the current values; a rollback may also use the version's earlier copy.
        order: Order = ("source",) if work.plan.kind == "release" else ("source", "copy")
        services.secrets.store(work.config, version.name, work.deployment.id, order=order)
        restore(services, work.config, version, services.progress)
        names = []
        # The containers' network is shared by all apps of the state folder: two apps must not create or remove it at
        # the same moment.
        with services.locks.proxy():
            work.record_slot(self.slot, version.name, "starting", work.deployment.id)
            for index in range(1, self.replicas + 1):
                spec = workload_spec(services, work.config, version, self.slot, index, work.deployment.id)
                names.append(services.workloads.create(spec).name)
        return {"containers": names}
