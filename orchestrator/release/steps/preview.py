"""Preview: a version answers at the preview address, and gets no request of clients. It commits nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.traffic.routing import split_listen
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProbeFailed
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.unpreview import Unpreview
from orchestrator.release.work import Detail, Work

# What the proxy answers when no request reaches a version.
_GATEWAY_ERRORS = (502, 503, 504)
_EVERY_ADDRESS = {"*": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
# A busy machine may miss the time limit of one request.
_TRIES = 3


@frozen
class Preview(Action):
    """Shows a version at `address`, the preview address, and asks it there. `live` keeps all requests of clients.

    Not while there is a shield: with a candidate it would protect the candidate, instead of the live version.
    """

    name: ClassVar[str] = "preview"
    version: str
    slot: Slot
    live: Slot
    address: str

    @property
    def words(self) -> str:
        return f"ask {self.version} at its preview address {self.address}"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(self.live, self.slot, preview=True)

    def undo(self, plan: Plan) -> Unpreview:
        return Unpreview(self.live)

    def run(self, work: Work) -> Detail:
        work.set_traffic(self.leads_to)
        for _ in range(_TRIES):
            why = self._ask(work)
            if not why:
                return {"address": self.address}
            work.services.interrupts.check()
            work.services.sleep(work.config.health.interval)
        raise ProbeFailed(f"{self.version} does not answer at its preview address {self.address}", why=why)

    def _ask(self, work: Work) -> str:
        """Why a request at the preview address does not reach the version; empty when it does."""
        host, port = split_listen(self.address)
        spec = replace(work.config.probe_spec(), port=port)
        with work.services.interrupts.interruptible():
            reply = work.services.prober.probe(_EVERY_ADDRESS.get(host, host), spec)
        if reply.status is None:
            return reply.error
        # The health check may be at another port: then any answer shows that the request has reached the version.
        return f"HTTP {reply.status}" if reply.status in _GATEWAY_ERRORS else ""
