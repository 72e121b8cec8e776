"""Rollback: bring the last stable version up the lineage back, stop the one that serves now."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.health.probe import judge
from orchestrator.domain.rollout.deployment import Deployment, Kind
from orchestrator.domain.rollout.plan import Observed, WayBack, plan_rollback, way_back
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.release.actions import Actions
from orchestrator.release.executor import Executor
from orchestrator.release.recover import at_rest
from orchestrator.release.release import Result
from orchestrator.release.retention import retain
from orchestrator.release.settings import settings_digest


def rollback(services: Services, config: Config, to: str | None = None) -> Result:
    """Goes back up the lineage, to `to` when it is given.

    Raises:
        UsageError: nothing is live, or there is no version to go back to.
        DeploymentFailed: the old version does not come up; the live one still serves.
    """
    started = services.clock()
    app = config.app.name
    with services.locks.app(app):
        observed = at_rest(services, app)
        back = target(observed, to)
        live = observed.live
        assert live is not None, "target() has seen it"
        deployment = carry_out(services, config, observed, back, actor=services.actor(config.base))
    return Result(back.version, live.version, deployment, services.clock() - started)


def carry_out(
    services: Services,
    config: Config,
    observed: Observed,
    back: WayBack,
    *,
    actor: str,
    kind: Kind = "rollback",
    reason: str = "",
) -> Deployment:
    """Goes the way back. The caller holds the app's lock and has brought it to rest.

    Raises:
        DeploymentFailed: the old version does not come up; the live one still serves.
    """
    stored = services.ledger.settings(observed.app, back.version)
    # How it runs is the old version's own affair; where it is served is the file's.
    old = Config.from_snapshot(stored)
    blended = old.model_copy(update={"proxy": config.proxy, "rollout": config.rollout})
    warm_ok = back.mode != "switch" or _answers(services, observed, back, blended)
    if not warm_ok:
        services.reporter.note(f"{back.version} is warm but does not answer: it is started anew")
    plan = plan_rollback(observed, back, replicas=blended.run.replicas, kind=kind, warm_ok=warm_ok)
    if plan.mode == "create":
        services.secrets.check(blended, back.version)
    services.interrupts.check()
    deployment = services.ledger.begin(
        plan,
        actor=actor,
        command=services.command,
        commit=observed.versions[back.version].git_commit,
        config=blended.snapshot(),
        reason=reason,
    )
    actions = Actions(services, deployment, plan, blended, settings=settings_digest(blended))
    if plan.mode == "switch":
        actions.slots.seen = observed.containers  # nothing is done to them before the switch
    Executor(services, actions).forward(plan.steps)
    retain(services, observed.app, config.retention.versions)
    return deployment


def target(observed: Observed, to: str | None) -> WayBack:
    """Where a rollback goes.

    Raises:
        UsageError: nowhere, and why.
    """
    if observed.live is None:
        raise UsageError(f"{observed.app} has no live version", hint="deployctl release v1")
    back = way_back(observed, to)
    if back is None:
        raise UsageError(
            f"{observed.live.version} has no stable version above it to go back to",
            hint="deployctl tree shows the versions; 'deployctl rollback --to v1' names one",
        )
    lost = observed.versions[back.version]
    if back.mode == "rebuild" and (lost.git_commit is None or lost.git_dirty):
        built = f"commit {lost.git_commit[:10]} and changes to it" if lost.git_commit else "files outside of Git"
        raise UsageError(
            f"{back.version} cannot be brought back: its containers and its image are gone",
            why=f"somebody removed them from the engine, and what it was built from ({built}) cannot be fetched again",
            hint=f"deployctl rollback --to another version, or release {back.version}'s source as a new version",
        )
    return back


def _answers(services: Services, observed: Observed, back: WayBack, config: Config) -> bool:
    spec = replace(config.probe_spec(), timeout=min(config.health.timeout, 2.0))
    return all(
        judge(spec, services.prober.probe(container.address, spec)).ready
        for container in observed.of(back.version, back.slot)
    )
