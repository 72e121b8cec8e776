"""Abort: all traffic goes back to the live version, and the candidate is stopped and kept."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.ports.services import Services
from orchestrator.release.candidate import candidates_config, carry_out, rollout_of
from orchestrator.release.maintenance import note_maintenance
from orchestrator.release.plans import plan_abort
from orchestrator.release.recover import at_rest
from orchestrator.release.result import Result


def abort(services: Services, config: Config, why: str = "") -> Result:
    """Ends the rollout of the candidate.

    Raises:
        UsageError: there is no candidate.
        Degraded: it failed after the candidate lost its share; recovery finishes it.
    """
    app = config.app.name
    with services.locks.app(app):
        observed = at_rest(services, app)
        note_maintenance(services, app)
        rollout = rollout_of(services, app)
        return take_back(services, config, observed, rollout, actor=services.actor(config.base), why=why)


def take_back(
    services: Services,
    config: Config,
    observed: Observed,
    rollout: Rollout,
    *,
    actor: str,
    why: str = "",
    bad: bool = False,
) -> Result:
    """Carries out one abort; `bad`: the candidate is marked as bad. The caller holds the lock and has recovered."""
    own = candidates_config(services, config, rollout)
    plan = plan_abort(observed, rollout, bad=bad)
    return carry_out(services, own, observed, rollout, plan, actor=actor, reason=why)
