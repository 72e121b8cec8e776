"""Promote, hold and resume: a person decides how a rollout goes on.

lock the app → recover → plan the next share → journal it → execute the plan → retention
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.traffic.judge import assess
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.release.candidate import candidates_config, carry_out, rollout_of
from orchestrator.release.evidence import counted, judge_limits
from orchestrator.release.maintenance import note_maintenance
from orchestrator.release.plans import plan_promote
from orchestrator.release.preparation import terms
from orchestrator.release.recover import at_rest
from orchestrator.release.result import Result
from orchestrator.release.retention import retain


def promote(services: Services, config: Config, *, full: bool = False, force: bool = False) -> Result:
    """Gives the candidate the share of its next stage; after the last one, or with `full`, all traffic.

    `force`: also when the judge finds it bad.

    Raises:
        UsageError: there is no candidate, or the judge finds it bad.
        OperationFailed: it does not run any more; nothing was changed.
        Degraded: it failed after the switch; recovery finishes it.
    """
    app = config.app.name
    with services.locks.app(app):
        observed = at_rest(services, app)
        note_maintenance(services, app)
        rollout = rollout_of(services, app)
        if not force:
            _refuse_bad(services, config, rollout)
        return advance(services, config, observed, rollout, actor=services.actor(config.base), full=full)


def _refuse_bad(services: Services, config: Config, rollout: Rollout) -> None:
    limits = judge_limits(config)
    found = assess(counted(services, rollout, limits), limits)
    if found.verdict == "bad":
        raise UsageError(f"{rollout.version} is bad", why=found.why, hint="deployctl abort; or use --force")


def advance(
    services: Services,
    config: Config,
    observed: Observed,
    rollout: Rollout,
    *,
    actor: str,
    reason: str = "",
    full: bool = False,
) -> Result:
    """Carries out one promotion. The caller holds the app's lock and has recovered the app."""
    own = candidates_config(services, config, rollout)
    plan = plan_promote(observed, rollout, terms(services, own, observed), full=full)
    result = carry_out(services, own, observed, rollout, plan, actor=actor, reason=reason)
    if services.ledger.open_rollout(rollout.app) is None:
        retain(services, rollout.app, own.retention.versions)
    return result


def hold(services: Services, config: Config) -> Rollout:
    """Keeps a rollout in its stage until `resume`. It is still aborted when the candidate is bad. May be repeated.

    Raises:
        UsageError: there is no candidate.
    """
    return _set_held(services, config, services.actor(config.base))


def resume(services: Services, config: Config) -> Rollout:
    """Lets a held rollout go on. Time on hold counts toward the stage's duration. May be repeated.

    Raises:
        UsageError: there is no candidate.
    """
    return _set_held(services, config, "")


def _set_held(services: Services, config: Config, by: str) -> Rollout:
    app = config.app.name
    with services.locks.app(app):
        at_rest(services, app)
        rollout = rollout_of(services, app)
        if bool(rollout.held) == bool(by):
            services.reporter.note(f"the rollout of {rollout.version} was {'on hold' if by else 'not on hold'} already")
            return rollout
        changed = replace(rollout, held=by)
        services.ledger.set_rollout(changed)
        kind = "rollout-held" if by else "rollout-resumed"
        detail = {"rollout": rollout.id, "version": rollout.version, "actor": services.actor(config.base)}
        services.ledger.event(app, kind, detail)
        return changed
