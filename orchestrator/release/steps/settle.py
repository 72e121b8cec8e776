"""Settle: records the outcome, and removes what only this deployment needed."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.rollout.deployment import Outcome
from orchestrator.frozen import frozen
from orchestrator.release.slots import note_cold
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.drilled import record
from orchestrator.release.work import Detail, Work
from orchestrator.supply.tagging import tag


@frozen
class Settle(Action):
    """Ends a deployment with its outcome and the reason for it."""

    name: ClassVar[str] = "settle"
    concludes: ClassVar[bool] = True
    outcome: Outcome = "succeeded"
    reason: str = ""

    @property
    def words(self) -> str:
        return "record the outcome"

    def run(self, work: Work) -> Detail:
        services, version = work.services, work.plan.to_version
        succeeded = self.outcome == "succeeded"
        if succeeded and work.plan.kind in ("release", "promote"):
            services.ledger.record_settings(work.app, version, work.config.snapshot())
            stable_at = work.version(version).stable_at
            if stable_at is not None:  # else it bakes
                tag(services, work.config, version, stable_at)
        if version not in services.ledger.versions(work.app):
            # Its build was not completed, so no later command would remove its model files.
            services.models.drop(work.app, version)
            services.models.collect()
        if not succeeded:
            # Its containers were removed. The copies of earlier deployments stay.
            services.secrets.drop(work.app, version, work.deployment.id)
        note_cold(services, work.app)
        if work.plan.kind == "drill":
            record(work, self.outcome, self.reason)
        # A failure is the reason; otherwise the reason that the deployment was begun with.
        reason = self.reason if not succeeded else work.deployment.reason or self.reason
        services.ledger.finish(work.deployment.id, self.outcome, reason)
        return {}
