"""Drill: proves that a rollback would work, without changing anything that clients see.

    lock the app → recover → choose the way back → plan the rollback, up to its switch → journal it → execute the plan

A drill is journaled as a deployment of the kind `drill`, so that a crash at any step is undone or finished like that of
a release. It commits when the version was ready (`drilled`): before that everything is undone, after that the version
is only stopped again.

What it leaves behind makes a later rollback faster, never slower: a warm version stays warm, and what was not there
before (the image, the containers) is kept, stopped. A shield is never ended for a drill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.plan import Plan, check
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.rollout.way_back import WayBack
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import DrillFailed, EngineUnreachable, OperationFailed, UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.executor import execute
from orchestrator.release.fit import release_fit
from orchestrator.release.plans import plan_rollback
from orchestrator.release.recover import at_rest
from orchestrator.release.rollback_preparation import prepare_rollback, rollback_way
from orchestrator.release.steps import Drilled, Keep, Preview, Retire, Settle, Switch
from orchestrator.release.work import Work

_SHIELDED = "not asked at the preview address: {0} answers what {1} fails, and a preview would end that"


@frozen
class Drill:
    """A drill that has succeeded. `seconds`: from its start until the version was ready for the switch.

    `preview` is the address where the version was asked through the proxy; None: nowhere.
    """

    version: str
    live: str
    back: WayBack
    deployment: Deployment
    seconds: float
    preview: str | None
    notes: tuple[str, ...] = ()


def drill(services: Services, config: Config, to: str | None = None) -> Drill:
    """Proves that a rollback to the last stable version up the lineage, or to `to`, would work. Holds the app's lock.

    Raises:
        UsageError: there is no version to roll back to, a rollout is open, or the other slot is needed.
        DrillFailed: a rollback would fail; nothing that clients see was changed.
        Degraded: the version was ready, but could not be stopped again; recovery does it.
    """
    app = config.app.name
    with services.locks.app(app):
        observed = at_rest(services, app)
        _refuse_rollout(services, app)
        back = rollback_way(observed, to)
        _refuse_occupied(observed, back)
        _refuse_recreate(config, back)
        with _explained(observed, back):
            return _drill(services, config, observed, back)


def plan_drill(observed: Observed, back: WayBack, *, replicas: int, preview: str = "") -> Plan:
    """The steps of a rollback to `back.version` up to its switch, and those that end the drill.

    A warm version that does not answer is not restarted, as a rollback would: then the drill fails.
    """
    live = observed.live
    assert live is not None, "a rollback needs a live version"
    rollback = plan_rollback(observed, back, replicas=replicas, kind="drill")
    before = observed.traffic
    # Without `Keep` the engine does not restart the version, which is stopped again.
    steps: list[Step] = [step for step in _before_switch(rollback) if not isinstance(step, Keep)]
    if preview and before == TrafficState(live.slot):
        steps.append(Preview(back.version, back.slot, live.slot, preview))
    steps.append(Drilled(back.version, live.slot, before.shield, before.held, before.patience, before.sessions))
    if rollback.mode != "switch":
        steps.append(Retire(back.version, back.slot, "stop"))
    plan = replace(rollback, steps=(*steps, Settle()))
    check(plan.before, plan.steps)
    return plan


def _before_switch(rollback: Plan) -> Iterator[Step]:
    for step in rollback.steps:
        if isinstance(step, Switch):
            return
        yield step


def _drill(services: Services, config: Config, observed: Observed, back: WayBack) -> Drill:
    assert observed.live is not None, "a rollback needs a live version"
    prepared = prepare_rollback(services, config, observed, back, kind="drill")
    _refuse_unfit(services, prepared.config, observed, back)
    known = services.ledger.proxy_app(observed.app)
    preview = known.route.preview if known is not None else ""
    plan = plan_drill(observed, back, replicas=prepared.config.run.replicas, preview=preview)
    shown = any(isinstance(step, Preview) for step in plan.steps)
    notes = (_SHIELDED.format(back.version, observed.live.version),) if preview and not shown else ()
    for note in notes:
        services.reporter.note(note)
    services.interrupts.check()
    deployment = services.ledger.begin(
        plan.record(),
        actor=services.actor(config.base),
        command=services.command,
        commit=observed.versions[back.version].git_commit,
        config=prepared.config.snapshot(),
    )
    # As in a rollback: a warm version is not changed, so the observed containers are still valid.
    seen = observed.containers if plan.mode == "switch" else None
    execute(Work(services, deployment, plan, prepared.config, seen=seen))
    return Drill(
        version=back.version,
        live=observed.live.version,
        back=back,
        deployment=deployment,
        seconds=_measured(services, deployment),
        preview=preview if shown else None,
        notes=notes,
    )


def _measured(services: Services, deployment: Deployment) -> float:
    steps = services.ledger.steps(deployment.id)
    return next(float(step.detail["seconds"]) for step in steps if step.name == Drilled.name and step.state == "done")


@contextmanager
def _explained(observed: Observed, back: WayBack) -> Iterator[None]:
    """Says of a failure what it means for a rollback."""
    assert observed.live is not None, "a rollback needs a live version"
    try:
        yield
    except EngineUnreachable:
        raise  # nothing was learned about the version
    except OperationFailed as error:
        version, live = back.version, observed.live.version
        warm = back.mode == "switch"
        raise DrillFailed(
            f"a rollback to {version} would {'not be a switch: it would restart it' if warm else 'fail'}",
            why=str(error),
            hint=f"nothing was changed, {live} still serves; its log: deployctl logs {version};"
            " another target: deployctl rollback --drill --to VERSION",
            details=error.details,
        ) from error


def _refuse_rollout(services: Services, app: str) -> None:
    rollout = services.ledger.open_rollout(app)
    if rollout is not None:
        raise UsageError(
            f"{rollout.version} is a candidate",
            why="the slot that a drill needs is in use; 'rollback' would abort the candidate instead",
            hint="let the rollout end, or end it: deployctl promote --full, or deployctl abort",
        )


def _refuse_occupied(observed: Observed, back: WayBack) -> None:
    """A version that runs in the other slot is not stopped for a drill: it is a shield, or the fastest target."""
    state = observed.slots.get(back.slot)
    if back.mode == "switch" or state is None or state.state == "cold":
        return
    live = observed.live.version if observed.live else "the live version"
    use = f"answers what {live} fails" if observed.traffic.fallback == back.slot else "is the fastest rollback target"
    if state.version == back.version:
        raise UsageError(
            f"{back.version} is warm, and not all of its containers run",
            why=f"it {use}, and a drill would have to stop and restart it",
            hint="check its logs: deployctl logs " + back.version,
        )
    until = f", until {state.warm_until}" if state.warm_until else ""
    raise UsageError(
        f"{state.version} runs in {back.slot}, where {back.version} would be started",
        why=f"{state.version} {use}{until}, and a drill would have to stop {state.version}",
        hint=f"test that rollback: deployctl rollback --drill --to {state.version}; or wait until it is stopped",
    )


def _refuse_recreate(config: Config, back: WayBack) -> None:
    if config.rollout.strategy == "recreate" and back.mode != "switch":
        raise UsageError(
            "rollout.strategy is recreate: two versions never run at the same time",
            why=f"a drill starts {back.version} beside the live version",
            hint="try it with another strategy in deploy.toml, if the machine has room for both",
        )


def _refuse_unfit(services: Services, config: Config, observed: Observed, back: WayBack) -> None:
    """Refuses a drill that could run the live version out of memory. `config` is that of the old version."""
    if back.mode == "switch":
        return
    fit = release_fit(services, config, observed, back.version, "blue-green")
    if fit.refused:
        raise UsageError(f"{back.version} cannot be drilled beside the live version", why=fit.why, hint=fit.advice)
    for note in fit.notes:
        services.reporter.note(note)
