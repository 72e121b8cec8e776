"""The result of a pass of the watchdog, or of one look of a command that waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.config import Config
from orchestrator.ports.services import Services
from orchestrator.watch import look
from orchestrator.watch.acts import Acted, Event

LOOK_EVERY = 1.0
"""Seconds between two looks of a command that waits."""

Outcome = Literal["healthy", "acted", "degraded", "failed", "skipped"]


@dataclass
class Passed:
    """The result of a pass. `seen` (what happened since the last one without the watchdog), `done`, `problems` and
    `waiting` are sentences for people.

    `unhealthy`: a container is not healthy yet, although that may need no person. `new_messages` are those that no
    earlier pass has reported; `events` are sent as notifications. `previous` is the version that was live before a
    rollback of this pass. `config` is None when no version is live.
    """

    app: str
    outcome: Outcome = "healthy"
    version: str | None = None
    previous: str | None = None
    seen: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    unhealthy: bool = False
    new_messages: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    view: look.View | None = None
    seconds: float = 0.0
    memory: dict[str, Any] = field(default_factory=dict)
    config: Config | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return self.outcome in ("healthy", "acted")

    def add(self, acted: Acted) -> None:
        """Adds the result of an act."""
        self.done += acted.done
        self.problems += acted.problems
        self.events += acted.events
        self.counts += acted.counts
        if acted.live is not None:
            self.version, self.previous = acted.live, self.version


def record_events(services: Services, passed: Passed) -> None:
    """Records what ended, new problems and their end; what was done is recorded where it is done."""
    looked_at = passed.previous or passed.version  # another version is live after a rollback
    rows = [("ended", looked_at, text) for text in passed.seen if text in passed.new_messages]
    rows += [(kind, passed.version, text) for kind, text, _ in passed.events if kind in ("degraded", "recovered")]
    for kind, version, text in rows:
        services.ledger.event(passed.app, kind, {"version": version, "what": text})
