"""Release: build a version, start it beside the live one, probe it, switch traffic to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from orchestrator.config import Config, printable
from orchestrator.domain import naming
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.rollout.plan import Choice, Observed, Plan, choose_release, plan_release
from orchestrator.domain.traffic.routing import refuse_conflicts
from orchestrator.domain.version.manifest import Manifest
from orchestrator.domain.version.version import Version
from orchestrator.errors import EngineUnreachable, UsageError
from orchestrator.ports.services import Services
from orchestrator.release.actions import Actions
from orchestrator.release.executor import Executor
from orchestrator.release.recover import at_rest
from orchestrator.release.retention import retain
from orchestrator.release.settings import settings_digest
from orchestrator.supply.source import Source, git_state, opened


@dataclass(frozen=True)
class Prepared:
    """A release before it begins: what it would do and what it would record."""

    config: Config
    choice: Choice
    plan: Plan
    draft: Version
    manifest: Manifest
    settings: str


@dataclass(frozen=True)
class Result:
    """How a deployment ended. `deployment` is None when there was nothing to do; `config` is what was released."""

    version: str
    previous: str | None
    deployment: Deployment | None
    seconds: float
    notes: tuple[str, ...] = ()
    config: Config | None = None


def prepare(
    services: Services,
    config: Config,
    wanted: str | None,
    observed: Observed,
    *,
    force: bool = False,
    keep: bool = False,
    source: Source | None = None,
) -> Prepared:
    """Finds out what a release would do. Changes nothing; `keep` takes the model's files into the store on the way.

    Raises:
        UsageError: the version cannot be released as it is asked.
    """
    source = source or Source(config, config)
    config = source.config
    app = config.app.name
    if wanted is not None and not naming.is_version(wanted):
        raise UsageError(f"{wanted!r} is no version", why="versions are v1, v2, v3 …", hint="deployctl release v2")
    route = config.route()
    refuse_conflicts(app, route, services.ledger.proxy_apps())
    services.proxy.check_listen(route)
    if not source.building.dockerfile_path.is_file():
        where = f"in commit {source.commit[:10]}" if source.commit else "there"
        raise UsageError(
            f"build.dockerfile: {printable(config.dockerfile_path)} is not {where}",
            hint="write a Dockerfile, or set build.context and build.dockerfile",
        )
    services.secrets.check(config, building=source.building if source.commit else None)
    if config.git.require_clean:
        git_state(services, source)  # at once, not after all files were read
    settings = settings_digest(config)
    with services.interrupts.interruptible():
        manifest = services.artifacts.manifest(source.building, keep=keep, progress=services.reporter.detail)
    # Only now: what changes while it is read makes it dirty.
    git = git_state(services, source)
    live = observed.live
    serving = observed.of(live.version, live.slot) if live else ()
    live_settings = services.engine.settings_of(serving[0]) if serving else None
    if serving and services.secrets.changed(config, serving[0].version, serving[0].deployment):
        live_settings = None  # the values are no part of it: a digest of a password can be guessed
    choice = choose_release(
        observed,
        wanted,
        context=manifest.digest,
        settings=settings,
        live_settings=live_settings,
        force=force,
    )
    known = observed.versions.get(choice.version)
    gone = choice.action == "reuse" and known is not None and not observed.image_there(known.image_id)
    if gone and known and not known.pushed:
        raise UsageError(
            f"the image of {choice.version} is gone from the engine",
            why="a version that has been live is never built again under the same name",
            hint=f"deployctl release {naming.next_version(list(observed.versions))}",
        )
    draft = Version(
        app=app,
        name=choice.version,
        image=naming.image(app, choice.version),
        image_id="",
        manifest=manifest.digest,
        parent=live.version if live else None,
        author=git.user or services.os_user(),
        created_at=iso(services.wall()),
        git_commit=git.commit,
        git_dirty=git.dirty,
        settings=config.snapshot(),
    )
    plan = plan_release(
        observed,
        choice,
        image=draft.image,
        replicas=config.run.replicas,
        keep_warm=config.rollout.keep_warm,
        bake=config.rollout.bake,
        registry=config.registry.push,
        gone=gone,
    )
    refused = (f"recorded without its commit: {git.missing}; next: {git.hint}",) if git.refused else ()
    plan = replace(plan, notes=(*source.notes, *plan.notes, *refused))
    return Prepared(config, choice, plan, draft, manifest, settings)


def release(
    services: Services, config: Config, wanted: str | None, *, force: bool = False, ref: str | None = None
) -> Result:
    """Makes a version live, built from the folder as it is, or with `ref` from a commit.

    Holds the app's lock from before the first look to the end.

    `force` releases a version that went bad before. A bake only begins here.

    Raises:
        DeploymentFailed: it failed and was undone; what served before still serves.
        Degraded: it failed after the switch; recovery finishes it.
    """
    started = services.clock()
    app = config.app.name
    with services.locks.app(app):
        observed = at_rest(services, app)
        # An engine that is not there is what the deployment will fail of, and be recorded as failed.
        with suppress(EngineUnreachable):
            services.refuse_strangers(observed)
        with opened(services, config, ref) as source:
            config = source.config
            prepared = prepare(services, config, wanted, observed, force=force, keep=True, source=source)
            for note in prepared.plan.notes:
                services.reporter.note(note)
            before = observed.live.version if observed.live else None
            if prepared.choice.action == "nothing":
                return Result(prepared.choice.version, None, None, 0.0, prepared.plan.notes, config)
            if prepared.choice.action != "build":
                source.done()
            services.interrupts.check()
            _register(services, app)
            deployment = services.ledger.begin(
                prepared.plan,
                actor=prepared.draft.author,
                command=services.command,
                commit=prepared.draft.git_commit,
                config=config.snapshot(),
            )
            actions = Actions(
                services,
                deployment,
                prepared.plan,
                config,
                draft=prepared.draft,
                source=source,
                manifest=prepared.manifest,
                settings=prepared.settings,
            )
            Executor(services, actions).forward(prepared.plan.steps)
        retain(services, app, config.retention.versions)
    return Result(prepared.choice.version, before, deployment, services.clock() - started, prepared.plan.notes, config)


def _register(services: Services, app: str) -> None:
    # The ledger knows the app before it records anything of it.
    subnet = f"10.0.0.0/{naming.NETWORK_PREFIX}"
    services.ledger.app_block(app, naming.block_count(subnet))
