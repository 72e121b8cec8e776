"""Prepares a release without changing anything: `plan` shows the result, other commands carry it out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.config import Config, printable
from orchestrator.config.secrets import build_secrets
from orchestrator.domain import naming
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.choice import Choice, choose_release
from orchestrator.domain.rollout.fit import Fit
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.version.version import GitState, Version
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.evidence import assess_alone, judge_limits, traffic
from orchestrator.release.fit import release_fit, strategy_of
from orchestrator.release.patience import patience
from orchestrator.release.plans import Terms, plan_release
from orchestrator.release.refusals import refuse_invalid, refuse_preview, refuse_second_candidate
from orchestrator.release.rollback_preparation import moved
from orchestrator.release.work import Draft
from orchestrator.supply.image import image_manifest
from orchestrator.supply.source import Source, git_state
from orchestrator.text import counted

_SHOWN_LINKS = 3


@frozen
class PreparedRelease:
    """A release before it begins: its plan, and the version that it would record. The caller checks `fit`."""

    config: Config
    choice: Choice
    plan: Plan
    draft: Draft
    fit: Fit

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.choice.action != "nothing"


def prepare_release(
    services: Services,
    source: Source,
    requested: str | None,
    observed: Observed,
    *,
    force: bool = False,
    keep: bool = False,
    preview: bool = False,
) -> PreparedRelease:
    """Plans a release of `requested` (None: the next version). Changes nothing; `keep` copies the model into the store,
    except for a release that is refused because it does not fit.

    Raises:
        UsageError: the version cannot be released as requested.
        SecretUnavailable: a secret is not available.
    """
    config = source.config
    refuse_second_candidate(services, observed)
    if preview:
        refuse_preview(config, observed)
    refuse_invalid(services, source, requested)
    if config.git.require_clean:
        git_state(services, source)  # fails before all files are read
    built = source.image is None
    fit = release_fit(services, config, observed, requested, strategy_of(config))
    keep = keep and (force or not fit.refused)
    with services.interrupts.interruptible():
        files = services.manifests.read(source.building, keep=keep, progress=services.progress, built=built)
    of_image = image_manifest(services, config.app.name, source.image, files) if source.image else files
    manifest = of_image or files
    # After the files were read, so that a change in the meantime is detected.
    git = git_state(services, source)
    choice = choose_release(
        observed,
        requested,
        manifest=manifest.digest,
        run_digest=config.run_digest(),
        live_run_digest=_live_run_digest(services, config, observed),
        same_place=_same_place(services, config, observed),
        force=force,
        source="build context" if built else "image",
    )
    if choice.action == "build" and built:
        build_secrets(config)  # before anything begins: a missing value would be found only by the build
    image_lost = _image_lost(observed, choice)
    version = _draft(services, config, choice, observed, manifest.digest, git)
    plan = plan_release(
        observed,
        choice,
        terms(services, config, observed, preview=preview),
        image=version.image,
        image_lost=image_lost,
        found=source.image,
    )
    changing: tuple[str, ...] = ()
    if choice.action != "nothing":
        lost = _lost_fallback(services, config, observed, force=force)
        changing = (*lost, *_short_hold(config, observed), *fit.notes, *moved(services, config))
    refused = (f"recorded without its commit: {git.missing}; next: {git.hint}",) if git.refused else ()
    unused = tuple(f"watchdog.{key} no longer has any effect: see [judge]" for key in config.watchdog.without_effect)
    copied = _copied(services.manifests.followed(source.building))
    unknown = ("its layers are known after the pull",) if of_image is None else ()
    told = (*source.notes, *unused, *plan.notes, *changing, *refused, *copied, *unknown)
    plan = replace(plan, notes=told)
    return PreparedRelease(config, choice, plan, Draft(version, source, manifest, complete=of_image is not None), fit)


def terms(services: Services, config: Config, observed: Observed, *, preview: bool = False) -> Terms:
    """The settings that the plan of a release or of a promotion depends on."""
    rollout = config.rollout
    return Terms(
        config.run.replicas,
        rollout.keep_warm,
        rollout.bake,
        rollout.settle,
        rollout.shield,
        patience(services, config, observed) if rollout.shield else 0.0,
        config.registry.push,
        tuple(rollout.stages),
        preview,
        rollout.hold if rollout.strategy == "recreate" else 0.0,
        config.proxy.sticky != "none",
    )


def _short_hold(config: Config, observed: Observed) -> tuple[str, ...]:
    """A note when requests wait for a shorter time than a version may take that does not become ready."""
    rollout, deadline = config.rollout, config.health.deadline
    if rollout.strategy != "recreate" or observed.live is None or rollout.hold >= deadline:
        return ()
    return (
        f"requests wait for at most {rollout.hold:g} s (rollout.hold), and a version that does not become ready is"
        f" given up after {deadline:g} s (health.deadline): in between they get 503",
    )


def _lost_fallback(services: Services, config: Config, observed: Observed, *, force: bool) -> tuple[str, ...]:
    """A note when the live version loses, before the new one is ready, the fallback that has answered its failures.

    Raises:
        UsageError: it fails so many requests that it must not lose it.
    """
    live, slot = observed.live, observed.traffic.fallback
    if live is None or slot is None:
        return ()
    # A release needs its slot.
    fallback = observed.slots[slot].version
    seen, _ = traffic(services, observed.app, live)
    found = assess_alone(seen, judge_limits(config))
    if found.verdict == "bad" and not force:
        raise UsageError(
            f"{live.version} fails requests, and {fallback} answers them",
            why=f"{found.why}, and a release stops {fallback} before the new version is ready",
            hint="deployctl rollback, then release again; or use --force",
        )
    if not seen.rescued:
        return ()
    return (f"{fallback} has answered {counted(seen.rescued, 'failure')} of {live.version}; it is stopped first",)


def _copied(followed: list[tuple[str, Path]]) -> tuple[str, ...]:
    """The note about files from outside of the model folder, whose content becomes part of the version."""
    if not followed:
        return ()
    shown = [f"{printable(name)} -> {printable(target)}" for name, target in followed[:_SHOWN_LINKS]]
    more = [f"and {len(followed) - _SHOWN_LINKS} more"] if len(followed) > _SHOWN_LINKS else []
    return (f"model.path: symlinks lead out of the folder, and their targets are copied: {', '.join([*shown, *more])}",)


def _same_place(services: Services, config: Config, observed: Observed) -> bool:
    """Whether a release would change neither the route of the app nor where its images are pushed."""
    known = services.ledger.proxy_app(config.app.name)
    live = observed.versions.get(observed.live.version) if observed.live else None
    if known is None or live is None or known.route != config.route():
        return False
    push = config.registry.push
    return push is None or (live.pushed or "").partition("@")[0] == push


def _live_run_digest(services: Services, config: Config, observed: Observed) -> str | None:
    """The digest of the live containers' settings; None when there are none, or when a secret has changed since."""
    live = observed.live
    serving = observed.of(live.version, live.slot) if live else ()
    if not serving:
        return None
    if services.secrets.changed(config, serving[0].version, serving[0].deployment):
        return None  # the digest does not cover the values: a password could be guessed from it
    return serving[0].labels.get(naming.LABEL_CONFIG, "")


def _image_lost(observed: Observed, choice: Choice) -> bool:
    """Whether the engine does not have the image that a release would reuse.

    Raises:
        UsageError: the image is lost, and was never pushed to a registry.
    """
    known = observed.versions.get(choice.version)
    if choice.action != "reuse" or known is None or observed.image_exists(known.image_id):
        return False
    if not known.pushed:
        raise UsageError(
            f"the engine does not have the image of {choice.version} any more",
            why="a version that has been live is never rebuilt under the same name",
            hint=f"deployctl release {naming.next_version(list(observed.versions))}",
        )
    return True


def _draft(
    services: Services, config: Config, choice: Choice, observed: Observed, manifest: str, git: GitState
) -> Version:
    app = config.app.name
    return Version(
        app=app,
        name=choice.version,
        image=naming.image(app, choice.version),
        image_id="",
        manifest=manifest,
        parent=observed.live.version if observed.live else None,
        author=git.user or services.host.user(),
        created_at=iso(services.wall()),
        git_commit=git.commit,
        git_dirty=git.dirty,
        settings=config.snapshot(),
    )
