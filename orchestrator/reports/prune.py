"""What retention removed. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PruneReport:
    """What was removed, or would be, by name. `freed_bytes` is None with `--dry-run`."""

    app: str
    dry_run: bool
    versions: tuple[str, ...]
    containers: tuple[str, ...]
    images: tuple[str, ...]
    freed_bytes: int | None
