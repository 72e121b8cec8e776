"""What every change of a candidate begins with: the rollout that it belongs to."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.release.executor import execute
from orchestrator.release.result import Result
from orchestrator.release.work import Work


def rollout_of(services: Services, app: str) -> Rollout:
    """The rollout of an app.

    Raises:
        UsageError: there is none.
    """
    rollout = services.ledger.open_rollout(app)
    if rollout is None:
        raise UsageError(f"{app} has no candidate", why="no rollout is in progress", hint="deployctl status")
    return rollout


def candidates_config(services: Services, config: Config, rollout: Rollout) -> Config:
    """The configuration that the candidate was released with, with the present [judge] of the file."""
    stored = Config.from_snapshot(services.ledger.settings(rollout.app, rollout.version))
    return stored.model_copy(update={"judge": config.judge})


def carry_out(
    services: Services, config: Config, observed: Observed, rollout: Rollout, plan: Plan, *, actor: str, reason: str
) -> Result:
    """Carries out a change of a candidate. The caller holds the app's lock and has recovered the app."""
    started = services.clock()
    services.interrupts.check()
    deployment = services.ledger.begin(
        plan.record(),
        actor=actor,
        command=services.command,
        commit=observed.versions[rollout.version].git_commit,
        config=config.snapshot(),
        reason=reason,
    )
    execute(Work(services, deployment, plan, config))
    ended = services.ledger.deployment(rollout.app, deployment.id) or deployment
    return Result(rollout.version, rollout.old, ended, services.clock() - started, config=config)
