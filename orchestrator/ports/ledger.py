"""The ledger: all records of a state folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from orchestrator.ports.events import Events
from orchestrator.ports.journal import Journal
from orchestrator.ports.placement import Placement
from orchestrator.ports.removals import Removals
from orchestrator.ports.rollouts import Rollouts
from orchestrator.ports.versions import VersionRecords
from orchestrator.ports.watch_records import WatchRecords

if TYPE_CHECKING:
    from orchestrator.domain.record.labels import Restored


class Ledger(VersionRecords, Journal, Rollouts, Placement, WatchRecords, Events, Removals, Protocol):
    """All records, and the file as a whole. Code that needs a part of it should use the protocol of that part.

    Every method is one transaction that is on disk when it returns; several processes may use the ledger at the same
    time. Every method raises LedgerDamaged when the ledger is missing or damaged, StorageError when it cannot be read
    or written (then nothing was written), and UsageError when a newer version of deployctl has written it.
    """

    def close(self) -> None:
        """Closes the file; it opens again at the next call."""

    def damage(self, *, thorough: bool = ...) -> str | None:
        """What is wrong with the file, in words; None when it is intact. `thorough` checks every index as well."""

    def restore(self, apps: Sequence[Restored]) -> str:
        """Replaces a damaged ledger with a new one of these apps; returns the new name of the old file."""

    def adopt(self, apps: Sequence[Restored]) -> None:
        """Adds apps that the ledger has no record of."""
