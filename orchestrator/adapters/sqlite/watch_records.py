"""The watchdog's part of the ledger: its passes, its memory and its counters."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from orchestrator.adapters.sqlite.file import LedgerFile
from orchestrator.domain.watch.passes import Pass

# About eight hours at one pass a minute.
_KEPT_PASSES = 500
# The newest good pass is always kept: metrics report its time, even after many bad ones.
_GOOD = "outcome IN ('healthy', 'acted')"


class SqliteWatchRecords(LedgerFile):
    """The passes of the watchdog, its memory between passes, and its counters."""

    def memory(self, app: str) -> dict[str, Any]:
        """The memory that the last pass stored; empty when there was none."""
        row = self._read("SELECT memory FROM watch WHERE app = ?", (app,)).fetchone()
        memory: dict[str, Any] = json.loads(row[0]) if row else {}
        return memory

    def remember(self, app: str, memory: dict[str, Any]) -> None:
        """Stores the memory for the next pass."""
        with self._transaction() as db:
            _remember(db, app, memory)

    def record_pass(self, app: str, finished: Pass, memory: dict[str, Any], counts: Mapping[str, int]) -> None:
        """Records a pass, its memory, and the increments of the counters."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO passes (app, at, seconds, outcome, said) VALUES (?,?,?,?,?)",
                (app, finished.at, round(finished.seconds, 3), finished.outcome, json.dumps(finished.said)),
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

    def passes(self, app: str, limit: int) -> list[Pass]:
        """The newest passes, newest first; -1 for all that are kept. The newest good one is always among all."""
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
