"""Which rollback is possible, and how. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.naming import version_number
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.traffic.slot import Slot, other
from orchestrator.domain.version.lineage import rollback_target
from orchestrator.domain.version.version import Version
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen

Mode = Literal["switch", "start", "pull", "rebuild", "gone"]


@frozen
class WayBack:
    """How a rollback would go now.

    `mode`: `switch` (the version is warm), `start` (its containers or its image exist), `pull` (its image comes from
    the registry), `rebuild` (its image is built from its commit) or `gone` (it is not possible: its image is gone, and
    it is not known what it was built from). `kept`: its containers exist.
    """

    version: str
    slot: Slot
    mode: Mode
    kept: bool


def way_back(observed: Observed, to: str | None = None) -> WayBack | None:
    """The rollback to `to`, or to the last stable version up the lineage; None when there is no such version.

    Raises:
        UsageError: `to` is unknown, was never stable, is marked bad, or is already live.
    """
    live = observed.live
    if live is None:
        return None
    target = _named(observed, to, live.version) if to else rollback_target(observed.versions, live.version)
    if target is None:
        return None
    slot = other(live.slot)
    kept = observed.of(target.name, slot)
    if kept and len(kept) == _replicas(target, len(kept)):
        state = observed.slots.get(slot)
        warm = state is not None and state.version == target.name and state.state == "warm"
        running = all(container.running for container in kept)
        return WayBack(target.name, slot, "switch" if warm and running else "start", True)
    return WayBack(target.name, slot, _without_containers(observed, target), False)


def _without_containers(observed: Observed, target: Version) -> Mode:
    if observed.image_exists(target.image_id):
        return "start"
    if target.pushed:
        return "pull"
    return "rebuild" if target.git_commit and not target.git_dirty else "gone"


def _named(observed: Observed, to: str, live: str) -> Version:
    target = observed.versions.get(to)
    if target is None:
        known = ", ".join(sorted(observed.versions, key=version_number)) or "none yet"
        raise UsageError(f"there is no version {to}", why=f"known versions: {known}")
    if to == live:
        raise UsageError(f"{to} is already live", hint="deployctl status")
    if target.bad_at is not None:
        raise UsageError(
            f"{to} is marked bad and is not a rollback target",
            why=target.bad_why,
            hint=f"deployctl release {to} --force",
        )
    if target.stable_at is None:
        raise UsageError(f"{to} was never stable and is not a rollback target", hint=f"deployctl release {to}")
    return target


def _replicas(version: Version, default: int) -> int:
    """How many containers the version ran last; kept containers can be used only when all of them exist."""
    return int(version.settings.get("run", {}).get("replicas", default))
