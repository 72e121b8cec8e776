"""A pass of the watchdog, as it is recorded."""

from __future__ import annotations

from typing import Literal

from orchestrator.frozen import frozen


@frozen
class Pass:
    """One pass of the watchdog over an app. `at` is UTC in ISO 8601; `said` are sentences for people."""

    at: str
    seconds: float
    outcome: Literal["healthy", "acted", "degraded", "failed"]
    said: tuple[str, ...] = ()
