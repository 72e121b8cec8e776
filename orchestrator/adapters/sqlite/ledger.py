"""The ledger in SQLite: all of its parts, and operations on the whole file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.sqlite import versions
from orchestrator.adapters.sqlite.events import SqliteEvents
from orchestrator.adapters.sqlite.journal import SqliteJournal, restore_deployment
from orchestrator.adapters.sqlite.placement import (
    SqlitePlacement,
    proxy_text,
    write_maintenance,
    write_slot,
    write_traffic,
)
from orchestrator.adapters.sqlite.removals import SqliteRemovals
from orchestrator.adapters.sqlite.rollouts import SqliteRollouts
from orchestrator.adapters.sqlite.sealing import version_changed, went_live
from orchestrator.adapters.sqlite.versions import SqliteVersions
from orchestrator.adapters.sqlite.watch_records import SqliteWatchRecords
from orchestrator.domain.record.chain import Switch
from orchestrator.domain.traffic.maintenance import MaintenanceRecord
from orchestrator.errors import LedgerDamaged

if TYPE_CHECKING:
    from orchestrator.domain.record.labels import Restored


class SqliteLedger(
    SqliteVersions, SqliteJournal, SqliteRollouts, SqlitePlacement, SqliteWatchRecords, SqliteEvents, SqliteRemovals
):
    """The ledger in one SQLite file. Implements the port `Ledger`."""

    def damage(self, *, thorough: bool = False) -> str | None:
        """The damage of the file, as text; None when there is none.

        `thorough` also compares every index with its table; the time grows with the size of the file.

        Raises:
            UsageError: the file was written by another release of deployctl.
            StorageError: the file cannot be read.
        """
        try:
            rows = self._read("PRAGMA integrity_check(5)" if thorough else "PRAGMA quick_check(1)")
            self._read(f"SELECT {versions.NAMES} FROM versions LIMIT 1")
        except LedgerDamaged as error:
            return error.why
        result = "; ".join(str(row[0]) for row in rows)
        return None if result == "ok" else result

    def restore(self, apps: Sequence[Restored]) -> str:
        """Replaces a damaged ledger with a new one of these apps; returns the new name of the old file.

        The new file is complete before the old one is moved: after a crash in between, the ledger is still
        recognized as damaged.
        """
        self.close()
        new = self.path.with_name(f"{self.path.name}.new")
        aside = self.path.with_name(f"{self.path.name}.damaged-{self._now().replace(':', '')}")
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{new}{suffix}").unlink(missing_ok=True)
        fresh = SqliteLedger(new, now=self._now)
        fresh.adopt(apps)
        fresh._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        fresh.close()
        for suffix in ("-wal", "-shm", "-journal", ""):
            if Path(f"{self.path}{suffix}").exists():
                Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
        new.replace(self.path)
        return aside.name

    def adopt(self, apps: Sequence[Restored]) -> None:
        """Adds apps that are not in the ledger."""
        with self._transaction() as db:
            _insert(db, apps, self._now())


def _insert(db: sqlite3.Connection, apps: Sequence[Restored], now: str) -> None:
    highest = int(db.execute("SELECT COALESCE(MAX(number), 0) FROM apps").fetchone()[0])
    highest = max([highest, *(app.app_number for app in apps)])
    for app in apps:
        if app.app_number == 0:  # none of its containers had an address: assign an unused number
            highest += 1
        db.execute(
            "INSERT INTO apps (name, number, proxy) VALUES (?,?,?)"
            " ON CONFLICT (name) DO UPDATE SET number = excluded.number, proxy = excluded.proxy,"
            " removal = NULL, removed_at = NULL",
            (app.app, app.app_number or highest, proxy_text(app.proxy) if app.proxy else None),
        )
        for version in app.versions:
            versions.write(db, version)
            version_changed(db, now, app.app, version.name, "restored")
        for slot in app.slots:
            write_slot(db, slot)
            if slot.slot == app.traffic.live:
                went_live(db, now, app.app, Switch(slot.version, slot.slot, slot.deployment, slot.since))
        write_traffic(db, app.app, app.traffic)
        if (maintenance := app.traffic.maintenance) is not None:
            write_maintenance(db, app.app, MaintenanceRecord(maintenance, now, "unknown"))
        for deployment in app.deployments:
            restore_deployment(db, now, deployment)
