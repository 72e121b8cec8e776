"""How passes of the watchdog ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PassReport:
    """How a pass of the watchdog over one app ended."""

    app: str
    version: str | None
    outcome: Literal["healthy", "acted", "degraded", "failed", "skipped"]
    done: tuple[str, ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class PassesReport:
    """The passes of one `watchdog run`, one for each app."""

    passes: tuple[PassReport, ...]
