"""What retention removed. Pure."""

from __future__ import annotations

from orchestrator.frozen import frozen


@frozen
class PruneReport:
    """What was removed, or would be, by name. `freed_bytes` is None with `--dry-run`."""

    app: str
    dry_run: bool
    versions: tuple[str, ...]
    containers: tuple[str, ...]
    images: tuple[str, ...]
    freed_bytes: int | None
