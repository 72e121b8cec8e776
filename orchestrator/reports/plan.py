"""What `deployctl plan` answers: the plan of a release or a rollback. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.config import Config
from orchestrator.domain.rollout.plan import Observed, Plan, plan_rollback
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.release.release import prepare
from orchestrator.release.rollback import target
from orchestrator.reports.status import estimate
from orchestrator.supply.source import opened


@dataclass(frozen=True)
class Preview:
    """A plan, whether it would change anything, and how many seconds a rollback should take."""

    plan: Plan
    changes: bool
    seconds: float | None = None


def preview(services: Services, config: Config, action: str, version: str | None, *, ref: str | None) -> Preview:
    """Plans `action`, a release or a rollback, without carrying it out.

    Raises:
        UsageError: there is no such action, or it cannot be carried out.
    """
    if action not in ("release", "rollback"):
        raise UsageError(f"{action!r} cannot be planned", hint="deployctl plan release v2, or plan rollback")
    if action == "rollback" and ref is not None:
        raise UsageError("a rollback takes no --ref", hint="deployctl plan rollback v1")
    observed = services.observe(config.app.name)
    if action == "rollback":
        return _rollback(services, observed, version)
    with opened(services, config, ref) as source:
        prepared = prepare(services, config, version, observed, source=source)
    return Preview(prepared.plan, changes=prepared.choice.action != "nothing")


def _rollback(services: Services, observed: Observed, version: str | None) -> Preview:
    back = target(observed, version)
    replicas = services.ledger.settings(observed.app, back.version)["run"]["replicas"]
    plan = plan_rollback(observed, back, replicas=replicas)
    return Preview(plan, changes=True, seconds=estimate(services, observed.app, back))
