"""Drilled: the rollback was proven, up to the switch. The point of no return of a drill, which moves no traffic."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.record.drill import DRILLED, is_recorded
from orchestrator.domain.rollout.deployment import Outcome
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.preview import Preview
from orchestrator.release.work import Detail, Work

_IMAGES = ("pull", "rebuild")
_RECENT = 20


@frozen
class Drilled(Action):
    """Ends the preview, and measures. The traffic is what it was before: that of `live`, with its shield, or held.

    Before it is done everything is undone, so that a failed drill leaves nothing behind. After it the version is only
    stopped, and what the drill has created is kept.
    """

    name: ClassVar[str] = "drilled"
    commits: ClassVar[bool] = True
    version: str
    live: Slot
    shield: bool = False
    held: float = 0.0
    patience: float = 0.0
    sessions: bool = False

    @property
    def words(self) -> str:
        return f"record that a rollback to {self.version} works"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(
            self.live, shield=self.shield, held=self.held, patience=self.patience, sessions=self.sessions
        )

    def run(self, work: Work) -> Detail:
        if any(step.name == Preview.name for step in work.plan.steps):
            work.set_traffic(self.leads_to)
        work.services.interrupts.disarm()
        return {"seconds": _seconds(work)}


def record(work: Work, outcome: Outcome, reason: str) -> None:
    """Adds the event about a drill that ends. May be repeated: there is one event for each drill."""
    ledger, deployment = work.services.ledger, work.deployment
    if is_recorded(ledger.newest_events(work.app, _RECENT), deployment.id):
        return
    steps = {step.name: step for step in ledger.steps(deployment.id) if step.state == "done"}
    done = steps.get(Drilled.name) if outcome == "succeeded" else None
    detail = {
        "version": work.plan.to_version,
        "live": work.plan.from_version,
        "mode": mode(work),
        "seconds": done.detail["seconds"] if done is not None else None,
        "outcome": outcome,
        "actor": deployment.actor,
        "deployment": deployment.id,
    }
    ledger.event(work.app, DRILLED, {**detail, **({"why": reason} if reason else {})})


def mode(work: Work) -> str:
    """How the version came back, in the words of `WayBack`: `switch`, `start`, `pull` or `rebuild`."""
    if work.plan.mode == "switch":
        return "switch"
    return next((step.name for step in work.plan.steps if step.name in _IMAGES), "start")


def _seconds(work: Work) -> float:
    """How long a rollback would take until its switch: all that was done, without what only a drill does."""
    steps = work.services.ledger.steps(work.deployment.id)
    counted = (step for step in steps if step.state == "done" and not step.undo and step.name != Preview.name)
    return round(sum(step.seconds or 0.0 for step in counted), 3)
