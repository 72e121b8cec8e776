"""Carries out plans. Each step is journaled before and after; when a step fails, the plan is undone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from orchestrator.domain.rollout.deployment import Outcome
from orchestrator.domain.rollout.plan import undo
from orchestrator.domain.rollout.recovery import recover
from orchestrator.domain.rollout.step import Step
from orchestrator.errors import (
    Degraded,
    DeployctlError,
    DeploymentFailed,
    EngineUnreachable,
    Interrupted,
    OperationFailed,
)
from orchestrator.release.logs import KEPT_LINES, first_and_last_lines
from orchestrator.release.steps import Action, Inspect, Probe, Settle, Start
from orchestrator.release.work import Work

# When these steps fail, the journal keeps the log of the new containers, which are removed.
_LOGGED = (Start.name, Probe.name, Inspect.name)


def execute(work: Work) -> None:
    """Carries out a deployment's plan; when a step fails before the plan has committed, undoes it.

    Raises:
        DeployctlError: a step failed, and everything was undone.
        Degraded: a step failed after the commit, or the undo failed as well; the deployment stays open.
        Interrupted: the new version is live; only a wait was cut short.
    """
    interrupts = work.services.interrupts
    for step in work.plan.steps:
        try:
            interrupts.check()
            run_step(work, step, undoing=False)
        except Exception as error:
            known = error
            if not isinstance(known, DeployctlError):
                known = DeploymentFailed(f"{step.name} failed", why=repr(error))
            if committed(work, known):
                # An internal error is raised as it is; the deployment stays open here as well.
                if known is not error:
                    raise
                raise unfinished(work, known) from error
            undo_deployment(work, known)
            raise
    if interrupts.pending:
        raise interrupts.error(f"{_achieved(work)}; waiting was cut short, nothing was undone")


def carry_on(work: Work, steps: Iterable[Step], outcome: Outcome, reason: str, *, undoing: bool) -> None:
    """Carries out the steps of a recovery and ends the deployment.

    Raises:
        DeployctlError: a step failed; the deployment stays open.
    """
    work.services.interrupts.disarm()
    for step in (*steps, Settle(outcome, reason)):
        run_step(work, step, undoing=undoing)


def run_step(work: Work, step: Step, *, undoing: bool) -> None:
    """Carries out one step, and journals it.

    Raises:
        DeployctlError: it failed; the journal says so.
    """
    services = work.services
    if not step.concludes:
        services.reporter.step(step.words)
    record = services.ledger.step_started(work.deployment.id, step.name, step.args, undo=undoing)
    services.boundary("before", step.name)
    started = services.clock()
    try:
        work.guard(step)
        detail = cast(Action, step).run(work)
    except DeployctlError as error:
        failure = {"error": str(error)}
        if step.name in _LOGGED and not undoing:
            failure["log"] = _log(work)
        services.ledger.step_finished(record, "failed", failure, services.clock() - started)
        raise
    services.boundary("acted", step.name)
    services.ledger.step_finished(record, "done", detail, services.clock() - started)
    services.boundary("after", step.name)


def committed(work: Work, error: DeployctlError) -> bool:
    """Whether the plan has committed, decided as recovery decides it.

    Raises:
        Degraded: the journal or the traffic cannot be read now; the deployment stays open.
    """
    try:
        journal = work.services.ledger.steps(work.deployment.id)
        traffic = work.services.traffic.on_disk(work.app)
    except DeployctlError as second:
        raise Degraded(
            f"{error.message}; and the state of the deployment cannot be read",
            why=str(second),
            hint="'deployctl recover' finishes it or undoes it",
            details=error.details,
        ) from error
    return recover(work.plan, journal, traffic).direction == "finish"


def undo_deployment(work: Work, error: DeployctlError, *, beside: str = "") -> None:
    """Undoes what a deployment has done, because of `error`. `beside`: the app whose deployment failed, if another's.

    Raises:
        DeploymentFailed: the engine does not answer; the next command undoes it.
        Degraded: undoing it failed as well; the deployment stays open.
    """
    services = work.services
    services.interrupts.disarm()
    services.reporter.step("undo the deployment")
    outcome: Outcome = "undone" if beside or isinstance(error, Interrupted) else "failed"
    reason = f"{beside}, released together with it, failed: {error}" if beside else str(error)
    try:
        steps = undo(work.plan, services.ledger.steps(work.deployment.id))
        carry_on(work, steps, outcome, reason, undoing=True)
    except DeployctlError as second:
        if isinstance(second, EngineUnreachable) and services.traffic.on_disk(work.app).live != work.plan.to_slot:
            raise DeploymentFailed(
                f"{error.message}; the next command undoes what was begun",
                why=str(second) if str(second) != str(error) else error.why,
                hint="what served before still serves; once the engine answers again: deployctl recover",
                details=error.details,
            ) from error
        raise Degraded(
            f"{error.message}; and undoing it failed as well",
            why=str(second),
            hint="'deployctl recover' continues",
            details=error.details,
        ) from error


def unfinished(work: Work, error: DeployctlError) -> Degraded:
    """What to raise when a deployment that has committed could not be finished."""
    return Degraded(
        f"{_achieved(work)}, but the {'drill' if work.plan.kind == 'drill' else 'deployment'} could not be finished",
        why=str(error),
        hint="'deployctl recover' finishes it",
    )


def _achieved(work: Work) -> str:
    """What holds once the plan has committed."""
    version = work.plan.to_version
    return f"a rollback to {version} works" if work.plan.kind == "drill" else f"{version} is live"


def _log(work: Work) -> str:
    try:
        new = [c for c in work.in_slot(work.plan.to_slot) if c.deployment == work.deployment.id]
        return first_and_last_lines(work.services, work.config, new, KEPT_LINES)
    except OperationFailed as error:
        return f"(could not be read: {error})"
