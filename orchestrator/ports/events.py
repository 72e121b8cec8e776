"""The chain of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.record.chain import Event, Switch


class Events(Protocol):
    """Everything that happened, linked so that a changed entry is detected. See `Ledger` for what all records share."""

    def event(self, app: str, kind: str, detail: dict[str, Any]) -> None:
        """Adds an event to the end of the chain."""

    def newest_events(self, app: str, limit: int, *, before: int | None = None) -> list[Event]:
        """The newest `limit` events of an app, newest first; with `before` only those with a lower number."""

    def events_of(self, app: str, kind: str) -> list[Event]:
        """All events of one kind, oldest first; of a removed app, only since its removal."""

    def head(self) -> int:
        """The number of the newest event; 0 when there is none."""

    def switches(self, app: str) -> list[Switch]:
        """When each version became live, oldest first; of a removed app, only since its removal.

        Raises:
            Degraded: one of these events is damaged.
        """

    def audit(self) -> tuple[list[Event], list[str]]:
        """All events, and every difference between them and the tables, in words; both from one moment."""
