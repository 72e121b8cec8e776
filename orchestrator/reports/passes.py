"""How passes of the watchdog ended. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.frozen import frozen


@frozen
class PassReport:
    """How a pass of the watchdog over one app ended. `seen` is what happened without the watchdog since the last."""

    app: str
    version: str | None
    outcome: Literal["healthy", "acted", "degraded", "failed", "skipped"]
    done: tuple[str, ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...]
    seconds: float
    seen: tuple[str, ...] = ()


@frozen
class PassesReport:
    """The passes of one `watchdog run`, one for each app."""

    passes: tuple[PassReport, ...]
