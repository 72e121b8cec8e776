"""Shift: a version gets a share of the requests, and the live one the rest. The point of no return."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.rollout import Evidence, Rollout
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.evidence import next_part, usual_time
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Shift(Action):
    """Gives the candidate `share` of the requests, in hundredths of a percent; `live` is the slot that gets the rest.

    It is stage number `stage` of its rollout, from 0. With `shield` the live version answers what the candidate fails,
    or does not begin to answer within `patience` seconds. With `preview` it has no share, and answers at an address of
    its own.
    """

    name: ClassVar[str] = "shift"
    commits: ClassVar[bool] = True
    version: str
    slot: Slot
    live: Slot
    share: int
    stage: int = 0
    shield: bool = False
    patience: float = 0.0
    preview: bool = False

    @property
    def words(self) -> str:
        if self.preview:
            return f"show {self.version} at its preview address"
        return f"send {self.share / 100:g} % of the requests to {self.version} ({self.slot})"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState(
            self.live, self.slot, self.share, shield=self.shield, preview=self.preview, patience=self.patience
        )

    def run(self, work: Work) -> Detail:
        services = work.services
        slow = usual_time(services, work.app)
        with services.locks.proxy():
            services.edge.up(services.ledger.proxy_apps(), services.progress)
            reading = services.endpoints.counters(work.app)
            services.traffic.apply(work.app, self.leads_to)
        # Not before the traffic has moved: until then the deployment is undone.
        rollout = services.ledger.open_rollout(work.app) or self._begun(work, slow)
        services.ledger.set_traffic(work.app, self.leads_to)
        work.record_slot(self.slot, self.version, "ready", work.placed_by(self.slot))
        now = services.wall()
        if rollout.evidence.since and (rollout.stage, rollout.preview) == (self.stage, self.preview):
            return {"rollout": rollout.id}  # an earlier attempt has recorded it
        evidence = next_part(rollout, reading, now.timestamp(), work.config.judge.latency_ratio)
        moved = replace(
            rollout,
            stage=self.stage,
            stage_since=iso(now),
            preview=self.preview,
            evidence=replace(evidence, before=len(evidence.past)),
        )
        services.ledger.set_rollout(moved)
        detail = {"rollout": rollout.id, "version": self.version, "share": self.share / 100}
        services.ledger.event(work.app, "shifted", {**detail, "actor": work.deployment.actor})
        services.interrupts.disarm()
        return {"rollout": rollout.id}

    def _begun(self, work: Work, slow: float) -> Rollout:
        """The rollout that this deployment begins."""
        settings, now = work.config.rollout, iso(work.services.wall())
        assert work.plan.from_version is not None
        return work.services.ledger.begin_rollout(
            Rollout(
                0,
                work.app,
                self.version,
                self.slot,
                work.plan.from_version,
                work.deployment.id,
                settings.strategy,
                tuple(str(stage) for stage in settings.stages),
                self.stage,
                now,
                work.deployment.actor,
                now,
                preview=self.preview,
                approve=settings.approve,
                evidence=Evidence(slow=slow),
            )
        )
