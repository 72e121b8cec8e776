"""What retention removed, and what else was removed from the engine. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.domain.version.build import Leftover, LeftoverKind
from orchestrator.frozen import frozen


@frozen
class LeftoverRecord:
    """Something that builds or removed containers had left on the engine.

    `id`: the id of an image, the name of a builder (empty: the engine's own cache), or the name of a volume.
    """

    kind: LeftoverKind
    id: str
    bytes: int


@frozen
class PruneReport:
    """What was removed, or would be, by name. `freed_bytes` is None with `--dry-run`.

    `leftovers` and `leftovers_freed_bytes` are None without `--cache`; the latter also with `--dry-run`.
    """

    app: str
    dry_run: bool
    versions: tuple[str, ...]
    containers: tuple[str, ...]
    images: tuple[str, ...]
    freed_bytes: int | None
    leftovers: tuple[LeftoverRecord, ...] | None = None
    leftovers_freed_bytes: int | None = None


def records(leftovers: Iterable[Leftover]) -> tuple[LeftoverRecord, ...]:
    """What was left, for a report."""
    return tuple(LeftoverRecord(leftover.kind, leftover.id, leftover.size) for leftover in leftovers)
