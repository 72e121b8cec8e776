"""Hold: requests wait at the proxy, because no version runs for a while."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.held import BEFORE, unanswered
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.unhold import Unhold
from orchestrator.release.work import Detail, Work


@frozen
class Hold(Action):
    """Lets new requests wait, each for at most `seconds`. `live` is the slot that had them."""

    name: ClassVar[str] = "hold"
    live: Slot
    seconds: float

    @property
    def words(self) -> str:
        return f"let new requests wait, for at most {self.seconds:g} s"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(self.live, held=self.seconds)

    def undo(self, plan: Plan) -> Step:
        return Unhold(self.live)

    def run(self, work: Work) -> Detail:
        before = unanswered(work)
        work.set_traffic(self.leads_to)
        return {BEFORE: before}
