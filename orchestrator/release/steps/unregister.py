"""Unregister: undoes the registration of a slot."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.slots import park
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Unregister(Action):
    """Removes the containers in a slot from the proxy, which stops checking them."""

    name: ClassVar[str] = "unregister"
    slot: Slot

    @property
    def words(self) -> str:
        return f"unregister {self.slot} from the proxy"

    @property
    def takes(self) -> Slot:
        return self.slot

    def run(self, work: Work) -> Detail:
        park(work.services, work.app, self.slot)
        return {}
