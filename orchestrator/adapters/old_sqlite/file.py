"""The ledger's file: opened once, brought to the newest schema, written in transactions that are on disk at their end.

WAL and synchronous=FULL: what was recorded survives a crash.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.adapters.old_sqlite.schema import migrate
from orchestrator.adapters.old_sqlite.sealing import lossless
from orchestrator.errors import DeployctlError, DeploymentFailed, LedgerDamaged

# What SQLite says without a code of its own.
_DAMAGED = ("no such table", "no such column", "Could not decode to UTF-8")


class _Rows(list[Any]):
    """Rows that were read whole: no cursor stays open on the file."""

    def fetchone(self) -> Any:
        return self[0] if self else None


class LedgerFile:
    """One SQLite file in the state folder. `now` gives the wall time as ISO 8601 in UTC."""

    def __init__(self, path: Path, *, now: Callable[[], str], lost: Callable[[], bool] = lambda: False) -> None:
        """`lost` says whether there must have been a ledger, when none is there."""
        self.path = path
        self._lost = lost
        self._now = now
        self._connection: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        # isolation_level=None: transactions are where this file says, not where the module guesses.
        try:
            new = not self.path.exists() or self.path.stat().st_size == 0
            if new and self._lost():
                raise LedgerDamaged(str(self.path), "it is gone, but apps are being served")
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            # Also at the end of the program: closing merges the write-ahead log into the file.
            weakref.finalize(self, db.close)
            if new:
                self.path.chmod(0o600)
            # Only a new file needs the switch to WAL: the mode is kept in the file.
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            migrate(db, str(self.path))
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error, "cannot be used") from error
        return db

    def _unusable(self, error: Exception, what: str) -> DeployctlError:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        if damaged or any(sign in str(error) for sign in _DAMAGED):
            return LedgerDamaged(str(self.path), str(error))
        return DeploymentFailed(
            f"the ledger {self.path} {what}",
            why=str(error),
            hint=f"is the disk full, read-only, or somebody else's? ({os.fspath(self.path.parent)})"
            " deployctl changes nothing that it cannot record",
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._unusable(error, "refused a record") from error

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> _Rows:
        try:
            return _Rows(self._db.execute(statement, values).fetchall())
        except sqlite3.Error as error:
            raise self._unusable(error, "cannot be read") from error

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """The file at one moment, whatever is written meanwhile. Text is read as it is there (`lossless`)."""
        assert self._db, "opened, and of this program's schema"
        try:
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            db.text_factory = lossless
            try:
                db.execute("BEGIN")
                yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise self._unusable(error, "cannot be read") from error
