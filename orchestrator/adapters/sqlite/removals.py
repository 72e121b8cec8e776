"""Removing apps from the ledger."""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from typing import Any

from orchestrator.adapters.sqlite.file import LedgerFile
from orchestrator.adapters.sqlite.sealing import REMOVED, append
from orchestrator.domain.record.removal import Removal

# In this order, because of the references between them.
_TABLES = (
    "rollouts",
    "deployments",
    "changes",
    "builds",
    "images",
    "versions",
    "slots",
    "traffic",
    "watch",
    "passes",
    "counters",
)


class SqliteRemovals(LedgerFile):
    """Apps that are being removed, and that were. The row of an app stays: its number is never another app's."""

    def begin_removal(self, app: str, actor: str, command: str) -> None:
        """Records that an app is being removed, unless that is recorded already."""
        with self._transaction() as db:
            text = json.dumps({"actor": actor, "command": command, "since": self._now()})
            db.execute(
                "UPDATE apps SET removal = COALESCE(removal, ?) WHERE name = ? AND removed_at IS NULL", (text, app)
            )

    def removal(self, app: str) -> Removal | None:
        """The removal of an app that has begun and not ended."""
        row = self._read("SELECT removal FROM apps WHERE name = ? AND removal IS NOT NULL", (app,)).fetchone()
        return Removal(**json.loads(row[0])) if row else None

    def remove_app(self, app: str, detail: dict[str, Any]) -> None:
        """Removes all rows of an app but its events and its number."""
        with self._transaction() as db:
            # The rows have environment variables, which may be passwords: what they leave in the file is overwritten.
            db.execute("PRAGMA secure_delete = ON")
            now = self._now()
            if not db.execute(
                "UPDATE apps SET proxy = NULL, removal = NULL, removed_at = ? WHERE name = ? AND removed_at IS NULL",
                (now, app),
            ).rowcount:
                return
            clear(db, app)
            append(db, now, app, REMOVED, detail)
            if not db.execute("SELECT 1 FROM apps WHERE removed_at IS NULL").fetchone():
                db.execute("DELETE FROM engine")
        with suppress(sqlite3.Error):
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def clear(db: sqlite3.Connection, app: str) -> None:
    """Removes all rows of an app but its events and the row with its number."""
    db.execute("DELETE FROM steps WHERE deployment IN (SELECT id FROM deployments WHERE app = ?)", (app,))
    for table in _TABLES:
        db.execute(f"DELETE FROM {table} WHERE app = ?", (app,))
