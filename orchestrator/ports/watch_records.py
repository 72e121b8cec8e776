"""The records of the watchdog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.watch.passes import Pass


class WatchRecords(Protocol):
    """The watchdog's passes, its memory and its counters. See `Ledger` for what all records share."""

    def memory(self, app: str) -> dict[str, Any]:
        """What the last pass has remembered for the next one; empty when there was none."""

    def remember(self, app: str, memory: dict[str, Any]) -> None:
        """Writes what to remember for the next pass."""

    def record_pass(self, app: str, finished: Pass, memory: dict[str, Any], counts: Mapping[str, int]) -> None:
        """Writes a pass and what to remember for the next one, and adds to the counters."""

    def passes(self, app: str, limit: int) -> list[Pass]:
        """The newest `limit` passes, newest first; -1 for all that are kept. The newest good pass is always kept."""

    def count(self, app: str, name: str, by: int = 1) -> None:
        """Adds to one of the app's counters."""

    def counts(self, app: str) -> dict[str, int]:
        """All counters of the app."""
