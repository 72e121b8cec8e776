"""Release: build a version, start it beside the live one, probe it, switch traffic to it.

lock the app → recover → open the source → prepare (choice, plan) → journal it → execute the plan → retention
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from orchestrator.config import Config
from orchestrator.errors import EngineUnreachable
from orchestrator.ports.services import Services
from orchestrator.release.executor import execute
from orchestrator.release.maintenance import note_maintenance
from orchestrator.release.observe import refuse_unrecorded
from orchestrator.release.preparation import PreparedRelease, prepare_release
from orchestrator.release.recover import at_rest
from orchestrator.release.result import Result
from orchestrator.release.retention import retain
from orchestrator.release.work import Work
from orchestrator.supply.source import opened


def release(
    services: Services,
    config: Config,
    requested: str | None,
    *,
    force: bool = False,
    ref: str | None = None,
    image: str | None = None,
    logs: bool = False,
    preview: bool = False,
    announce: Callable[[PreparedRelease], None] | None = None,
) -> Result:
    """Makes `requested` (None: the next version) live: built from the folder as it is, with `ref` from a commit, or
    with `image` made of an image that was built elsewhere.

    Holds the app's lock until the end. `force` also releases a version that is marked bad, is the same as the live
    one, or does not seem to fit. With `logs`, what new containers print is reported until they are ready. `announce` is
    called before anything changes, if something will. When this returns, the version may settle and bake, or be a
    candidate whose rollout goes on: with stages, or with `preview`.

    Raises:
        UsageError: it cannot be released as requested; nothing was changed.
        OperationFailed: it failed and was undone; what served before still serves.
        Degraded: it failed after the switch; recovery finishes it.
    """
    started = services.clock()
    app = config.app.name
    with services.locks.app(app):
        observed = at_rest(services, app)
        note_maintenance(services, app)
        # When the engine does not answer, a step fails, so that the failure is recorded.
        with suppress(EngineUnreachable):
            refuse_unrecorded(services, observed)
        with opened(services, config, ref, image, again=observed.versions.get(requested or "")) as source:
            prepared = prepare_release(services, source, requested, observed, force=force, keep=True, preview=preview)
            for note in prepared.plan.notes:
                services.reporter.note(note)
            if prepared.changes:
                check_fit(services, prepared, force=force)
            if announce and prepared.changes:
                announce(prepared)
            deployment = None
            if prepared.changes:
                work = begin(services, prepared, logs=logs)
                execute(work)
                deployment = work.deployment
        if deployment is not None:
            retain(services, app, prepared.config.retention.versions)
    return Result(
        version=prepared.choice.version,
        previous=prepared.plan.from_version if deployment else None,
        deployment=deployment,
        seconds=services.clock() - started if deployment else 0.0,
        notes=prepared.plan.notes,
        config=prepared.config,
    )


def check_fit(services: Services, prepared: PreparedRelease, *, force: bool) -> None:
    """Refuses a release that does not seem to fit, unless it is forced.

    Raises:
        UsageError: it does not seem to fit.
    """
    if force and prepared.fit.refused:
        services.reporter.note(f"released because of --force: {prepared.fit.why}")
    else:
        prepared.fit.check()


def begin(services: Services, prepared: PreparedRelease, *, logs: bool) -> Work:
    """Records that a release begins. From now on it is finished or undone, by this command or by the next one.

    Raises:
        Interrupted: a signal came; nothing was recorded.
    """
    draft, config = prepared.draft, prepared.config
    if prepared.choice.action != "build":
        draft.source.done()
    services.interrupts.check()
    # When the engine does not answer, a step fails, so that the failure is recorded.
    with suppress(EngineUnreachable):
        services.ledger.record_engine(services.workloads.engine())
    services.ledger.app_number(prepared.plan.app)  # records the app, which all other records refer to
    deployment = services.ledger.begin(
        prepared.plan.record(),
        actor=draft.version.author,
        command=services.command,
        commit=draft.version.git_commit,
        config=config.snapshot(),
    )
    return Work(services, deployment, prepared.plan, config, draft, logs=logs)
