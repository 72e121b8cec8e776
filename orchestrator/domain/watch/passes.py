"""A pass of the watchdog, as it is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Pass:
    """One pass of the watchdog over an app. `at` is UTC in ISO 8601; `said` are sentences for people."""

    at: str
    seconds: float
    outcome: Literal["healthy", "acted", "degraded", "failed"]
    said: tuple[str, ...] = ()
