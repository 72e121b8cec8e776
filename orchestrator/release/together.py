"""Several apps go live atomically, or none does.

lock all apps → recover each → prepare each → journal each → build, start, probe side by side → one switch → retention
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.rollout.joint_fit import check_together
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.routing import refuse_conflicts
from orchestrator.errors import DeployctlError, EngineUnreachable, UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.progress import Reporter
from orchestrator.ports.services import Services
from orchestrator.release.joint import execute_together
from orchestrator.release.maintenance import note_maintenance
from orchestrator.release.observe import refuse_unrecorded
from orchestrator.release.preparation import PreparedRelease, prepare_release
from orchestrator.release.recover import at_rest
from orchestrator.release.release import begin, check_fit
from orchestrator.release.result import Result
from orchestrator.release.retention import retain
from orchestrator.release.work import Work
from orchestrator.supply.source import opened


def release_together(
    services: Services,
    configs: Sequence[Config],
    *,
    force: bool = False,
    logs: bool = False,
    announce: Callable[[Services, PreparedRelease], None] | None = None,
) -> list[Result]:
    """Makes the next version of each app live, all at the same instant; the results are in the order of `configs`.

    Holds the locks of all apps until the end. An app without a change stays as it is. `force`, `logs` and `announce` as
    in `release`; `announce` gets the services whose messages name the app.

    Raises:
        UsageError: one cannot be released like this; nothing was changed.
        Locked: another command works on one of the apps; nothing was changed.
        OperationFailed: one failed and all were undone; what served before still serves.
        Degraded: it failed after the switch; recovery finishes it.
    """
    _refuse(configs)
    started = services.clock()
    own = {config.app.name: named(services, config.app.name) for config in configs}
    with ExitStack() as stack:
        # In the order of their names, so that two such commands never wait for each other.
        for app in sorted(own):
            stack.enter_context(services.locks.app(app))
        try:
            prepared = [_prepare(own[config.app.name], config, stack, force=force) for config in configs]
            changing = [each for each in prepared if each.changes]
            for each in changing:
                check_fit(own[each.plan.app], each, force=force)
            if not force:
                check_together({each.plan.app: each.fit for each in changing})
        except DeployctlError:
            services.models.collect()  # what the others have copied
            raise
        for each in changing if announce else ():
            announce(own[each.plan.app], each)  # type: ignore[misc]
        begins = [_beginning(own[each.plan.app], each, logs=logs) for each in changing]
        works = execute_together(begins) if begins else []
        for work in works:
            retain(work.services, work.app, work.config.retention.versions)
    seconds = services.clock() - started
    return [_result(each, works, seconds) for each in prepared]


def _refuse(configs: Sequence[Config]) -> None:
    """Checks what can be checked before anything is locked."""
    routes: list[ProxyApp] = []
    for config in configs:
        app, strategy = config.app.name, config.rollout.strategy
        if any(other.name == app for other in routes):
            raise UsageError(
                f"app {app} was given twice", why=f"{config.source} names it as well", hint="give each app once"
            )
        if strategy != "blue-green":
            raise UsageError(
                f'rollout.strategy of {app} is "{strategy}"',
                why="only versions that get all requests at once can switch together",
                hint=f'set strategy = "blue-green" in {config.source}, or release {app} by itself, without --together',
            )
        refuse_conflicts(app, config.route(), routes)
        routes.append(ProxyApp(app, config.route(), {}))


def _prepare(services: Services, config: Config, stack: ExitStack, *, force: bool) -> PreparedRelease:
    app = config.app.name
    observed = at_rest(services, app)
    note_maintenance(services, app)
    # When the engine does not answer, a step fails, so that the failure is recorded.
    with suppress(EngineUnreachable):
        refuse_unrecorded(services, observed)
    source = stack.enter_context(opened(services, config, None))
    prepared = prepare_release(services, source, None, observed, force=force, keep=True)
    for note in prepared.plan.notes:
        services.reporter.note(note)
    return prepared


def _beginning(services: Services, prepared: PreparedRelease, *, logs: bool) -> Callable[[], Work]:
    return lambda: begin(services, prepared, logs=logs)


def _result(prepared: PreparedRelease, works: Sequence[Work], seconds: float) -> Result:
    work = next((each for each in works if each.app == prepared.plan.app), None)
    return Result(
        version=prepared.choice.version,
        previous=prepared.plan.from_version if work else None,
        deployment=work.deployment if work else None,
        seconds=seconds if work else 0.0,
        notes=prepared.plan.notes,
        config=prepared.config,
    )


def named(services: Services, app: str) -> Services:
    """The same services; their messages begin with the name of the app."""
    return replace(services, reporter=_Named(services.reporter, app))


@frozen
class _Named:
    """A Reporter whose messages begin with the name of an app."""

    reporter: Reporter
    app: str

    def step(self, text: str) -> None:
        self.reporter.step(f"{self.app}: {text}")

    def detail(self, text: str) -> None:
        self.reporter.detail(f"{self.app}: {text}")

    def update(self, text: str) -> None:
        self.reporter.update(f"{self.app}: {text}")

    def log(self, text: str) -> None:
        self.reporter.log(f"{self.app}: {text}")

    def note(self, text: str) -> None:
        self.reporter.note(f"{self.app}: {text}")
