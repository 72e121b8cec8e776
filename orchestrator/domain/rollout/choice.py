"""What a release of a version comes down to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.domain.naming import next_version
from orchestrator.domain.rollout.observed import Observed
from orchestrator.errors import UsageError


@dataclass(frozen=True)
class Choice:
    """`build` a version, `reuse` its image, or `nothing` to do; `note` says why, where that is not obvious."""

    version: str
    action: Literal["build", "reuse", "nothing"]
    note: str = ""


def choose_release(
    observed: Observed,
    wanted: str | None,
    *,
    manifest: str,
    run_digest: str,
    live_run_digest: str | None,
    force: bool = False,
) -> Choice:
    """Decides what releasing `wanted` (None: the next version) means.

    `manifest` is the digest of what would be built, `run_digest` that of how containers would be started.

    Raises:
        UsageError: the version was live and its source has changed since; or it went bad when it was live, without
            `force`.
    """
    following = next_version(list(observed.versions))
    name = wanted or following
    known = observed.versions.get(name)
    if known is None:
        return Choice(name, "build")
    if known.bad_at is not None and not force:
        raise UsageError(
            f"{name} went bad when it was live, and was rolled back",
            why=known.bad_why,
            hint=f"fix it and release it as {following}, or use --force: deployctl release {name} --force",
        )
    if known.live_at is None:
        return Choice(name, "build", f"{name} was built before but was never live: it is rebuilt")
    if known.manifest != manifest:
        raise UsageError(
            f"{name} has been live and cannot change",
            why="the build context is not what the version was built from",
            hint=f"release the change as a new version: deployctl release {following}",
        )
    live = observed.live
    if live is not None and live.version == name:
        if live_run_digest == run_digest and observed.of(name, live.slot):
            return Choice(name, "nothing", f"{name} is live already, built from this build context")
        return Choice(name, "reuse", f"{name} is live already: its image is started with the new configuration")
    return Choice(name, "reuse", f"{name} was live before: its image is reused")
