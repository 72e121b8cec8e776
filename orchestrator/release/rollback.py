"""Rollback: switches back to an earlier stable version and stops the live one.

    lock the app → recover → choose the way back → prepare (plan) → journal it → execute the plan → retention

The old version is warm (only a switch), or it is started and probed first. When a step before the switch fails, the
rollback is undone and the live version continues to serve; after the switch, recovery finishes the remaining steps.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.rollout.deployment import Deployment, Kind
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.way_back import WayBack
from orchestrator.ports.services import Services
from orchestrator.release.abort import take_back
from orchestrator.release.executor import execute
from orchestrator.release.maintenance import note_maintenance
from orchestrator.release.recover import at_rest
from orchestrator.release.result import Result
from orchestrator.release.retention import retain
from orchestrator.release.rollback_preparation import prepare_rollback, rollback_way
from orchestrator.release.work import Work


def rollback(services: Services, config: Config, to: str | None = None) -> Result:
    """Rolls back to the last stable version up the lineage, or to `to`. Holds the app's lock.

    While there is a candidate, it is aborted: the live version has all requests again.

    Raises:
        UsageError: no version is live, or there is no version to roll back to.
        OperationFailed: the old version does not start; the live one still serves.
        Degraded: it failed after the switch; recovery finishes it.
    """
    started = services.clock()
    app = config.app.name
    with services.locks.app(app):
        observed = at_rest(services, app)
        note_maintenance(services, app)
        rollout = services.ledger.open_rollout(app)
        if rollout is not None:
            actor = services.actor(config.base)
            result = take_back(services, config, observed, rollout, actor=actor, why="rolled back")
            if to is None or to == rollout.old:
                return replace(result, version=rollout.old, previous=rollout.version)
            observed = at_rest(services, app)
        back = rollback_way(observed, to)
        deployment = roll_back(services, config, observed, back, actor=services.actor(config.base))
    return Result(back.version, deployment.from_version, deployment, services.clock() - started)


def roll_back(
    services: Services,
    config: Config,
    observed: Observed,
    back: WayBack,
    *,
    actor: str,
    kind: Kind = "rollback",
    reason: str = "",
) -> Deployment:
    """Carries out one rollback. The caller holds the app's lock and has recovered the app.

    Raises:
        OperationFailed: the old version does not start; the live one still serves.
        Degraded: it failed after the switch; recovery finishes it.
    """
    prepared = prepare_rollback(services, config, observed, back, kind=kind)
    for note in prepared.plan.notes:
        services.reporter.note(note)
    services.interrupts.check()
    deployment = services.ledger.begin(
        prepared.plan.record(),
        actor=actor,
        command=services.command,
        commit=observed.versions[back.version].git_commit,
        config=prepared.config.snapshot(),
        reason=reason,
    )
    # A warm rollback changes no container before its switch, so the observed ones are still valid.
    seen = observed.containers if prepared.plan.mode == "switch" else None
    execute(Work(services, deployment, prepared.plan, prepared.config, seen=seen))
    retain(services, observed.app, config.retention.versions)
    return deployment
