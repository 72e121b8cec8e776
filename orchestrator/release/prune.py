"""What `deployctl prune` does: recovery first, then retention, then what builds have left."""

from __future__ import annotations

from collections import Counter

from orchestrator.domain.version.build import Leftover
from orchestrator.errors import EngineError, EngineUnreachable
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release import retention
from orchestrator.release.recover import recover
from orchestrator.text import counted

_NAMES = {"image": "dangling image", "volume": "anonymous volume"}


@frozen
class Cleared:
    """What builds and removed containers had left, and was, or with a dry run would be, removed.

    `freed`: the bytes that were freed; None in a dry run.
    """

    leftovers: tuple[Leftover, ...]
    freed: int | None


def prune(
    services: Services, app: str, keep: int, *, dry_run: bool, cache: bool = False
) -> tuple[retention.Pruned, Cleared | None]:
    """Removes what the newest `keep` versions do not need; with `dry_run` only reports what would be removed.

    With `cache` also what builds and removed containers have left on the engine. Dangling images and caches
    are shared by all programs that build there, which a note says; images of kept versions stay, whatever happened to
    their names.
    """
    with services.locks.app(app):
        if not dry_run:
            recover(services, app)
        pruned = retention.prune(services, app, keep, dry_run=dry_run)
        return pruned, _clear(services, app, dry_run=dry_run) if cache else None


def _clear(services: Services, app: str, *, dry_run: bool) -> Cleared:
    found = services.leftovers.find(_needed(services))
    if dry_run or not found:
        return Cleared(found, None if dry_run else 0)
    services.reporter.note(
        "dangling images and the build cache are shared by all programs that build on"
        f" {services.workloads.engine()}, so the next builds take longer"
    )
    removed, freed = [], 0
    for leftover in found:
        services.interrupts.check()
        services.reporter.detail(f"removing {leftover.words}")
        size = _remove(services, leftover)
        if size is not None:
            removed.append(leftover)
            freed += size
    if removed and app in services.ledger.apps():
        services.ledger.event(app, "pruned", {"versions": [], "containers": [], "leftovers": _counted(removed)})
    return Cleared(tuple(removed), freed)


def _counted(leftovers: list[Leftover]) -> list[str]:
    """What was removed, in a few words: there may be hundreds of images."""
    counts = Counter(leftover.kind for leftover in leftovers if leftover.kind != "cache")
    return [counted(count, _NAMES[kind]) for kind, count in counts.items()] + [
        leftover.words for leftover in leftovers if leftover.kind == "cache"
    ]


def _remove(services: Services, leftover: Leftover) -> int | None:
    try:
        return services.leftovers.remove(leftover)
    except EngineUnreachable:
        raise
    except EngineError as error:
        services.reporter.note(f"{leftover.words} was not removed: {error}")
        return None


def _needed(services: Services) -> set[str]:
    """The ids of the images of all versions of the state folder that are kept."""
    versions = (each for app in services.ledger.apps() for each in services.ledger.versions(app).values())
    return {version.image_id for version in versions if version.image_id and not version.pruned_at}
