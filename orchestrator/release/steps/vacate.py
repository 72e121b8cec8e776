"""Vacate: stops or removes the old containers in the slot that a version will start in."""

from __future__ import annotations

import math
from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen
from orchestrator.release.open_requests import wait_until_closed
from orchestrator.release.slots import park
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.remove import Remove
from orchestrator.release.steps.stop import Stop
from orchestrator.release.work import Detail, Work
from orchestrator.text import counted


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
        cut = self._let_finish(work) if any(container.running for container in work.in_slot(self.slot)) else 0
        for container in work.in_slot(self.slot):
            if container.version == self.version and not self.keep:
                services.workloads.remove(container)
                removed.append(container.name)
            elif container.state in ("running", "paused", "restarting"):
                park(services, work.app, self.slot)
                services.workloads.stop(container)
                stopped.append(container.name)
        services.ledger.clear_slot(work.app, self.slot)
        return {"removed": removed, "stopped": stopped, "cut": cut}

    def _let_finish(self, work: Work) -> int:
        """Waits until no request is open on the slot, up to the drain limit; returns how many were cut then.

        A warm version may still answer streams and WebSockets that began before it lost the traffic.

        Raises:
            Interrupted: a signal came; nothing was stopped.
        """
        services = work.services

        def check(waited: float) -> float:
            services.interrupts.check()
            return math.inf

        try:
            left, limit = wait_until_closed(
                services, work.app, self.slot, work.config.proxy.drain, f"in {self.slot}", check
            )
            if left:
                services.endpoints.cut(work.app, self.slot)
                services.reporter.note(
                    f"cut {counted(left, 'request')} in {self.slot} at the drain limit of {limit:g} s"
                )
        except ProxyError:
            return 0  # without the proxy no request is open; a later step reports that it does not answer
        return left
