"""The watchdog's part of the ledger: its passes, its memory, and what only grows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from orchestrator.adapters.old_sqlite.versions import VersionLedger
from orchestrator.domain.watch.passes import Pass

# A day of passes at one a minute would be 1440: what people look at is the last hours.
_KEPT_PASSES = 500
# The newest good pass is kept for ever: however many bad ones follow, metrics say when all was well last.
_GOOD = "outcome IN ('healthy', 'acted')"


class WatchLedger(VersionLedger):
    """What one pass leaves to the next, and to those who look at them."""

    def memory(self, app: str) -> dict[str, Any]:
        """What the last pass of the watchdog left to the next one; empty when there was none."""
        row = self._read("SELECT memory FROM watch WHERE app = ?", (app,)).fetchone()
        found: dict[str, Any] = json.loads(row[0]) if row else {}
        return found

    def record_pass(self, app: str, found: Pass, memory: dict[str, Any], counts: Mapping[str, int]) -> None:
        """Writes a pass, what it leaves to the next one, and what it adds to the counters."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO passes (app, at, seconds, outcome, said) VALUES (?,?,?,?,?)",
                (app, found.at, round(found.seconds, 3), found.outcome, json.dumps(found.said)),
            )
            db.execute(
                "DELETE FROM passes WHERE app = ? AND id <= (SELECT id FROM passes WHERE app = ?"
                " ORDER BY id DESC LIMIT 1 OFFSET ?)"
                f" AND id IS NOT (SELECT MAX(id) FROM passes WHERE app = ? AND {_GOOD})",
                (app, app, _KEPT_PASSES, app),
            )
            _remember(db, app, memory)
            for name, value in counts.items():
                _count(db, app, name, value)

    def remember(self, app: str, memory: dict[str, Any]) -> None:
        """Writes what the next pass shall know."""
        with self._transaction() as db:
            _remember(db, app, memory)

    def passes(self, app: str, limit: int) -> list[Pass]:
        """The last passes, newest first; `limit` -1 for all. The newest good one is among all, however old it is."""
        rows = self._read(
            "SELECT at, seconds, outcome, said FROM passes WHERE app = ? ORDER BY id DESC LIMIT ?", (app, limit)
        )
        return [Pass(at, seconds, outcome, tuple(json.loads(said))) for at, seconds, outcome, said in rows]

    def count(self, app: str, name: str, by: int = 1) -> None:
        """Adds to one of the app's counters."""
        with self._transaction() as db:
            _count(db, app, name, by)

    def counts(self, app: str) -> dict[str, int]:
        """All counters of the app."""
        return dict(self._read("SELECT name, value FROM counters WHERE app = ?", (app,)))


def _remember(db: sqlite3.Connection, app: str, memory: dict[str, Any]) -> None:
    db.execute(
        "INSERT INTO watch (app, memory) VALUES (?,?) ON CONFLICT (app) DO UPDATE SET memory = excluded.memory",
        (app, json.dumps(memory)),
    )


def _count(db: sqlite3.Connection, app: str, name: str, by: int) -> None:
    db.execute(
        "INSERT INTO counters (app, name, value) VALUES (?,?,?)"
        " ON CONFLICT (app, name) DO UPDATE SET value = value + excluded.value",
        (app, name, by),
    )
