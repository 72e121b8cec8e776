"""Switch: all traffic goes to another version. The point of no return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.counted import as_json
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen
from orchestrator.release.evidence import finished
from orchestrator.release.held import unanswered_since
from orchestrator.release.shields import record_shield
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.unswitch import Unswitch
from orchestrator.release.work import Detail, Work


@frozen
class Before:
    """The proxy's counters before the switch; `since` is when the traffic moved, if that was before this attempt.

    `rollout` is that of the version, if it was the candidate.
    """

    counters: dict[str, Any]
    since: str | None
    rollout: Rollout | None


@frozen
class Switch(Action):
    """Makes a version live. With `bake` it is watched for so many seconds before it counts as stable.

    With `shield` its predecessor answers what it fails, or does not begin to answer within `patience` seconds. With
    `sessions` the sessions that its predecessor has stay there.
    """

    name: ClassVar[str] = "switch"
    commits: ClassVar[bool] = True
    version: str
    slot: Slot
    bake: float = 0.0
    shield: bool = False
    patience: float = 0.0
    sessions: bool = False

    @property
    def words(self) -> str:
        return f"switch traffic to {self.version} ({self.slot})"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(live=self.slot, shield=self.shield, patience=self.patience, sessions=self.sessions)

    def undo(self, plan: Plan) -> Step | None:
        if plan.from_slot is None or plan.from_version is None:
            return None  # the registration is undone instead
        before = plan.at_commit
        return Unswitch(
            plan.from_version,
            plan.from_slot,
            before.candidate,
            before.share,
            before.shield,
            before.preview,
            before.patience,
            before.held,
            before.sessions,
        )

    def run(self, work: Work) -> Detail:
        services = work.services
        with services.locks.proxy():
            services.edge.up(services.ledger.proxy_apps(), services.progress)
            before = self.look(work)
            services.traffic.apply(work.app, self.leads_to)
        return self.record(work, before)

    def look(self, work: Work) -> Before:
        """What must be read and kept before the traffic moves. The caller holds the lock of the proxy."""
        services = work.services
        work.seen = None
        counters = _counters(work)
        # If the traffic has moved already, a crash came between the switch and its record.
        since = _moved_at(work) if services.traffic.on_disk(work.app).live == self.slot else None
        rollout = services.ledger.open_rollout(work.app)
        if rollout is not None and rollout.version == self.version:
            # The version that was the candidate has all requests now.
            rollout = replace(rollout, evidence=finished(services, rollout, work.config.judge.latency_ratio))
        else:
            rollout = None
        record_shield(services, work.app)
        return Before(counters, since, rollout)

    def record(self, work: Work, before: Before) -> Detail:
        """Records that the traffic has moved."""
        services = work.services
        until = iso(services.wall() + timedelta(seconds=self.bake)) if self.bake else None
        state = SlotState(
            work.app,
            self.slot,
            self.version,
            work.deployment.id,
            "ready",
            before.since or iso(services.wall()),
            bake_until=until,
        )
        services.ledger.go_live(state, self.leads_to)
        services.ledger.mark_live(work.app, self.version, stable=not self.bake)
        if work.plan.kind == "auto-rollback" and work.plan.from_version is not None:
            services.ledger.mark_bad(work.app, work.plan.from_version, work.deployment.reason)
        if before.rollout is not None:
            why = work.deployment.reason
            services.ledger.set_rollout(replace(before.rollout, ended_at=state.since, outcome="promoted", why=why))
        services.interrupts.disarm()
        return {"counters": before.counters, **({"bake_until": until} if until else {}), **unanswered_since(work)}


def switch_all(switches: Sequence[tuple[Work, Switch]]) -> list[Before]:
    """Moves the traffic of several apps atomically; returns what each one's `record` needs.

    Raises:
        ProxyError: the proxy did not confirm it. No traffic has moved.
    """
    services = switches[0][0].services
    with services.locks.proxy():
        services.edge.up(services.ledger.proxy_apps(), services.progress)
        before = [switch.look(work) for work, switch in switches]
        services.traffic.apply_all({work.app: switch.leads_to for work, switch in switches})
    return before


def _moved_at(work: Work) -> str | None:
    """When an earlier attempt of this step moved the traffic: as its file says, but not before the step began."""
    steps = work.services.ledger.steps(work.deployment.id)
    begun = next((step.started_at for step in steps if step.name == Switch.name), None)
    written = work.services.traffic.changed_at(work.app)
    if begun is None or written is None:
        return begun
    return max(begun, iso(datetime.fromtimestamp(written, UTC)))


def _counters(work: Work) -> dict[str, Any]:
    """What the proxy has counted until now: what comes later is the new version's own."""
    try:
        return as_json(work.services.endpoints.counters(work.app))
    except ProxyError as error:
        # Only the judge needs them; a switch must not fail because of them.
        work.services.reporter.detail(f"the proxy's counters cannot be read: {error}")
        return {}
