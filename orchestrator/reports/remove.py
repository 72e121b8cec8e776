"""What a removal removed. Pure."""

from __future__ import annotations

from orchestrator.frozen import frozen
from orchestrator.reports.watchdog import SchedulePlace


@frozen
class RemoveReport:
    """What was removed, or would be, by name. `live` was live, and served at `listen`; None when nothing was.

    `cut` counts requests that were still open at the drain limit. `freed_bytes` is the size of what was removed from
    the store; None with `--dry-run`. `proxy_removed`: it was the last app. `left` is what stays, as sentences.
    """

    app: str
    dry_run: bool
    live: str | None
    listen: str | None
    versions: tuple[str, ...]
    containers: tuple[str, ...]
    images: tuple[str, ...]
    schedules: tuple[SchedulePlace, ...]
    cut: int
    freed_bytes: int | None
    proxy_removed: bool
    left: tuple[str, ...]
