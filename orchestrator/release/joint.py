"""Carries out the deployments of several apps side by side, with one switch for all of them.

All are built, all are started, all are probed and inspected; then one change of the traffic moves them all. Before it,
a failure of one undoes all. After it, each is finished by itself.

A crash needs nothing special: each deployment has a journal of its own, and what recovery asks is whether the traffic
on disk has moved. That one file is written once, so the answer is the same for all of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

from orchestrator.config import Config
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.errors import Degraded, DeployctlError, DeploymentFailed, Interrupted
from orchestrator.frozen import frozen
from orchestrator.release.executor import committed, run_step, undo_deployment, unfinished
from orchestrator.release.steps import Probe, Switch, Vacate
from orchestrator.release.steps.switch import Before, switch_all
from orchestrator.release.work import Work


@frozen
class _Moved:
    """A deployment whose traffic has moved, and the number of the journal's row of its switch."""

    work: Work
    row: int
    before: Before
    seconds: float


def execute_together(begins: Sequence[Callable[[], Work]]) -> list[Work]:
    """Begins releases and carries out their plans, which all switch at once and not to a candidate.

    Raises:
        DeployctlError: one failed before the switch, and all were undone.
        Degraded: one failed after the switch, or could not be undone; its deployment stays open.
        Interrupted: a signal came before the switch, and all were undone; or it came afterwards, and all are live.
    """
    works: list[Work] = []
    at: list[Work] = []  # the one that is being worked on
    try:
        for begin in begins:
            works.append(begin())
        for part in range(len(_parts(works[0].plan))):
            for work in works:
                at[:] = [work]
                for step in _parts(work.plan)[part]:
                    work.services.interrupts.check()
                    run_step(work, step, undoing=False)
        at.clear()
        works[0].services.interrupts.check()
        moved = _switch(works)
    except Exception as error:
        ended = _undone(works, at[0] if at else None, error)
        if ended is error:
            raise
        raise ended from error
    _finish(moved)
    interrupts = works[0].services.interrupts
    if interrupts.pending:
        raise interrupts.error("all are live; waiting was cut short, nothing was undone")
    return works


def _parts(plan: Plan) -> list[tuple[Step, ...]]:
    """The steps before the switch, in groups; all apps finish one group before any starts the next.

    The images; the containers, which load their models at the same time; the probes; what checks them once more.
    """
    steps = plan.steps[: plan.commit]
    vacate = next(number for number, step in enumerate(steps) if isinstance(step, Vacate))
    probe = next(number for number, step in enumerate(steps) if isinstance(step, Probe))
    return [steps[:vacate], steps[vacate:probe], steps[probe : probe + 1], steps[probe + 1 :]]


def _switch(works: Sequence[Work]) -> list[_Moved]:
    """Moves the traffic of all apps. Every switch is journaled before it: else recovery would undo what has moved."""
    services = works[0].services
    rows: list[int] = []
    started = services.clock()
    try:
        for work, step in _switches(works):
            work.services.reporter.step(step.words)
            rows.append(services.ledger.step_started(work.deployment.id, step.name, step.args, undo=False))
            services.boundary("before", step.name)
        before = switch_all(list(_switches(works)))
    except DeployctlError as error:
        for row in rows:
            services.ledger.step_finished(row, "failed", {"error": str(error)}, services.clock() - started)
        raise
    services.interrupts.disarm()
    seconds = services.clock() - started
    return [_Moved(work, row, found, seconds) for work, row, found in zip(works, rows, before, strict=True)]


def _switches(works: Sequence[Work]) -> Iterator[tuple[Work, Switch]]:
    for work in works:
        yield work, cast(Switch, work.plan.steps[work.plan.commit])


def _finish(moved: Sequence[_Moved]) -> None:
    """Records all switches, then carries out the rest of each plan. A failure of one does not stop the others."""
    failed: dict[str, Exception] = {}

    def attempt(work: Work, act: Callable[[], None]) -> None:
        if work.app in failed:
            return  # recovery finishes it, in the order of its plan
        try:
            act()
        except Exception as error:  # noqa: BLE001  raised at the end
            failed[work.app] = error

    for each in moved:
        attempt(each.work, lambda each=each: _record(each))  # type: ignore[misc]
    for each in moved:
        attempt(each.work, lambda work=each.work: _rest(work))  # type: ignore[misc]
    for each in moved:
        error = failed.get(each.work.app)
        if isinstance(error, DeployctlError):
            raise _named(each.work, unfinished(each.work, error)) from error
        if error is not None:
            raise error


def _record(moved: _Moved) -> None:
    work, services = moved.work, moved.work.services
    ((_, switch),) = _switches([work])
    detail = switch.record(work, moved.before)
    services.boundary("acted", switch.name)
    services.ledger.step_finished(moved.row, "done", detail, moved.seconds)
    services.boundary("after", switch.name)


def _rest(work: Work) -> None:
    for step in work.plan.steps[work.plan.commit + 1 :]:
        run_step(work, step, undoing=False)


def _undone(works: Sequence[Work], at: Work | None, error: Exception) -> Exception:
    """Undoes all, unless the traffic has moved; returns what to raise. `at` is what failed; None: the switch."""
    known = error if isinstance(error, DeployctlError) else DeploymentFailed("the release failed", why=repr(error))
    for work in works:
        if committed(work, known):
            return _named(work, unfinished(work, known))
    worst: DeployctlError | None = None
    for work in reversed(works):
        beside = at.app if at is not None and at is not work and not isinstance(known, Interrupted) else ""
        try:
            undo_deployment(work, known, beside=beside)
        except DeployctlError as second:
            if not isinstance(worst, Degraded):
                worst = _named(work, second)
    if worst is not None:
        return worst
    if works and not isinstance(known, Interrupted):
        if at is not None:
            _named(at, known)
        apps = ", ".join(work.app for work in works)
        known.message += f"; nothing was switched: {apps} serve what they served before"
    return error


def _named(work: Work, error: DeployctlError) -> DeployctlError:
    """The error with the app in its message, and its file in the commands of its hint."""
    if not error.message.startswith(f"{work.app}: "):
        error.message = f"{work.app}: {error.message}"
        error.hint = with_file(error.hint, work.config)
    return error


def with_file(hint: str, config: Config) -> str:
    """A hint whose commands name the app's file: with several apps, the usual one may be another's."""
    file = shlex.quote(str(Path(config.base) / Path(config.source).name))
    return hint.replace("deployctl ", f"deployctl -f {file} ")
