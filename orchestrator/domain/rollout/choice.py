"""What a release has to do: build a version, reuse its image, or nothing. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.naming import next_version
from orchestrator.domain.rollout.observed import Observed
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen


@frozen
class Choice:
    """What a release does: `build` the version, `reuse` its image, or `nothing`. `note` says why if not obvious."""

    version: str
    action: Literal["build", "reuse", "nothing"]
    note: str = ""


def choose_release(
    observed: Observed,
    requested: str | None,
    *,
    manifest: str,
    run_digest: str,
    live_run_digest: str | None,
    same_place: bool = False,
    force: bool = False,
    source: Literal["build context", "image"] = "build context",
) -> Choice:
    """Decides what a release of `requested` (None: the next version) has to do.

    `manifest` is the digest of the files that would be built. `run_digest` is the digest of the settings that
    containers would be started with, `live_run_digest` that of the live containers. `same_place`: neither the route nor
    the registry would change. With `force` a new version is built even if it is the same as the live one. `source` is
    what the version is made of.

    Raises:
        UsageError: the version has been live and its files have changed since; or, unless `force` is set, it is
            marked bad, or would be the same as the live version.
    """
    following = next_version(list(observed.versions))
    name = requested or following
    known = observed.versions.get(name)
    if known is None:
        same = same_place and run_digest == live_run_digest and _live_is(observed, manifest)
        if same and not force:
            return _nothing_new(observed, name, requested)
        return Choice(name, "build")
    if known.bad_at is not None and not force:
        raise UsageError(
            f"{name} is marked bad",
            why=known.bad_why,
            hint=f"fix it and release it as {following}, or use --force: deployctl release {name} --force",
        )
    if known.live_at is None:
        how = ("built", "rebuilt") if source == "build context" else ("made", "replaced")
        return Choice(name, "build", f"{name} was {how[0]} before but was never live: it is {how[1]}")
    if known.manifest != manifest:
        raise UsageError(
            f"{name} has been live and cannot change",
            why=f"the {source} is not what the version was made from",
            hint=f"release the change as a new version: deployctl release {following}",
        )
    live = observed.live
    if live is not None and live.version == name:
        if live_run_digest == run_digest and observed.of(name, live.slot):
            return Choice(name, "nothing", f"{name} is already live, with this {source}")
        return Choice(name, "reuse", f"{name} is already live: its image is started with the new configuration")
    return Choice(name, "reuse", f"{name} was live before: its image is reused")


def _live_is(observed: Observed, manifest: str) -> bool:
    """Whether the live version consists of these files, and has containers."""
    live = observed.live
    known = observed.versions.get(live.version) if live else None
    if live is None or known is None or known.bad_at is not None:
        return False
    return known.manifest == manifest and bool(observed.of(live.version, live.slot))


def _nothing_new(observed: Observed, name: str, requested: str | None) -> Choice:
    assert observed.live is not None
    live = observed.live.version
    if requested is None:
        return Choice(
            live, "nothing", f"{live} has the same files and settings; --force builds {name} from them anyway"
        )
    raise UsageError(
        f"{name} would be the same as {live}, which is live",
        why="no file and no setting has changed",
        hint=f"to build it anyway, for example on a newer base image: deployctl release {name} --force",
    )
