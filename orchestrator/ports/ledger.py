"""The ledger: all records of a state folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from orchestrator.ports.events import Events
from orchestrator.ports.journal import Journal
from orchestrator.ports.placement import Placement
from orchestrator.ports.versions import VersionRecords
from orchestrator.ports.watch_records import WatchRecords

if TYPE_CHECKING:
    from orchestrator.domain.record.labels import Restored


class Ledger(VersionRecords, Journal, Placement, WatchRecords, Events, Protocol):
    """What happened and what is. Take the part that you need; this is their sum, and the file as a whole.

    Every method is one transaction, on disk when it returns, and may be used from several processes at once. Every
    method raises LedgerDamaged when the ledger is missing or damaged, StorageError when it cannot be read or written
    (nothing was written then), and UsageError when a newer deployctl has written it.
    """

    def close(self) -> None:
        """Closes the file; it opens again at the next call."""

    def damage(self, *, thorough: bool = ...) -> str | None:
        """What is wrong with the file, in words; None when it is in order. `thorough` checks every index as well."""

    def restore(self, apps: Sequence[Restored]) -> str:
        """Replaces a damaged ledger with a new one of these apps; returns the name that the old one has now."""

    def adopt(self, apps: Sequence[Restored]) -> None:
        """Adds apps that the ledger knows nothing of."""
