"""Prepares a rollback without changing anything. It loads nothing that only a release needs: a rollback is urgent."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.health.probe import judge
from orchestrator.domain.rollout.deployment import Kind
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.way_back import WayBack, way_back
from orchestrator.domain.version.lineage import stable_beside
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.plans import plan_rollback
from orchestrator.release.probes import probe_of

# How long a warm container may take to answer, in seconds.
_WARM_PROBE_TIMEOUT = 2.0


@frozen
class PreparedRollback:
    """A rollback before it begins. `config` is the old version's, with the current [proxy] and [rollout] settings."""

    config: Config
    back: WayBack
    plan: Plan


def prepare_rollback(
    services: Services, config: Config, observed: Observed, back: WayBack, *, kind: Kind = "rollback"
) -> PreparedRollback:
    """Plans a rollback; probes warm containers. Changes nothing.

    Raises:
        SecretUnavailable: a secret of the version is not available any more.
    """
    # Containers run with the old version's settings; the proxy uses the current ones.
    stored = Config.from_snapshot(services.ledger.settings(observed.app, back.version))
    blended = stored.model_copy(update={"proxy": config.proxy, "rollout": config.rollout})
    answers = back.mode != "switch" or _warm_answers(services, observed, back, blended)
    hold = config.rollout.hold if config.rollout.strategy == "recreate" else 0.0
    plan = plan_rollback(observed, back, replicas=blended.run.replicas, kind=kind, warm_answers=answers, hold=hold)
    if not answers:
        plan = replace(plan, notes=(f"{back.version} is warm but does not answer: it is restarted",))
    plan = replace(plan, notes=(*plan.notes, *moved(services, blended)))
    if plan.mode == "create":
        services.secrets.check(blended, back.version)
    return PreparedRollback(blended, back, plan)


def rollback_way(observed: Observed, to: str | None) -> WayBack:
    """The rollback to `to`, or to the last stable version up the lineage.

    Raises:
        UsageError: no such rollback is possible.
    """
    if observed.live is None:
        raise UsageError(f"{observed.app} has no live version", hint="deployctl release v1")
    back = way_back(observed, to)
    if back is None:
        others = stable_beside(observed.versions, observed.live.version)
        raise UsageError(
            f"{observed.live.version} has no earlier stable version",
            why="among its parents is none that was stable and is kept",
            hint=f"select one with --to: {', '.join(others)}" if others else "deployctl tree shows all versions",
        )
    lost = observed.versions[back.version]
    if back.mode == "gone":
        origin = f"commit {lost.git_commit[:10]} and changes to it" if lost.git_commit else "files outside of Git"
        source = f"its source ({origin}) cannot be checked out"
        if lost.from_image:
            source = f"no registry is known to have the image {lost.from_image}"
        raise UsageError(
            f"{back.version} cannot be restored: its containers and its image are gone",
            why=f"they were removed from the engine, and {source}",
            hint=f"select another version with --to, or release the source of {back.version} as a new version",
        )
    return back


def moved(services: Services, config: Config) -> tuple[str, ...]:
    """A note when the proxy will listen for the app at another address."""
    known = services.ledger.proxy_app(config.app.name)
    if known is None or known.route.listen == config.proxy.listen:
        return ()
    before, after = known.route.listen, config.proxy.listen
    return (f"{config.app.name} moves from {before} to {after}: requests to {before} will not reach it any more",)


def _warm_answers(services: Services, observed: Observed, back: WayBack, config: Config) -> bool:
    """Whether all containers of a warm version pass one probe now."""
    spec = probe_of(services, observed.app, back.slot, back.version, config)
    spec = replace(spec, timeout=min(spec.timeout, _WARM_PROBE_TIMEOUT))
    return all(
        judge(spec, services.prober.probe(container.address, spec)).ready
        for container in observed.of(back.version, back.slot)
    )
