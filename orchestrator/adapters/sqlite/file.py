"""The ledger's file: opened at the first use, migrated to the newest schema, and written in durable transactions.

WAL and synchronous=FULL: a transaction is on disk when it ends, and survives a crash.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.adapters.sqlite.schema import migrate
from orchestrator.adapters.sqlite.sealing import lossless
from orchestrator.errors import DeployctlError, LedgerDamaged, StorageError

# Damage that SQLite reports without a specific error code.
_DAMAGED = ("no such table", "no such column", "Could not decode to UTF-8")


class _Rows(list[Any]):
    """All rows of a query, so that no cursor stays open."""

    def fetchone(self) -> Any:
        return self[0] if self else None


class LedgerFile:
    """One SQLite file in the state folder. The parts of the ledger inherit from it and share its connection."""

    def __init__(self, path: Path, *, now: Callable[[], str], lost: Callable[[], bool] = lambda: False) -> None:
        """`now` returns the wall time as ISO 8601 in UTC. `lost` says whether a missing file was lost."""
        self.path = path
        self._lost = lost
        self._now = now
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Closes the file; it opens again at the next call."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            new = not self.path.exists() or self.path.stat().st_size == 0
            if new and self._lost():
                raise LedgerDamaged(str(self.path), "the file is missing, but apps are being served")
            # isolation_level=None: this module begins and ends transactions itself.
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            # Runs also at the end of the program: closing merges the write-ahead log into the file.
            weakref.finalize(self, db.close)
            if new:
                self.path.chmod(0o600)
            # Only a new file must be switched to WAL: the file stores the mode.
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            migrate(db, str(self.path))
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error, "opened") from error
        return db

    def _unusable(self, error: Exception, action: str) -> DeployctlError:
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        if damaged or any(sign in str(error) for sign in _DAMAGED):
            return LedgerDamaged(str(self.path), str(error))
        return StorageError(
            f"the ledger {self.path} cannot be {action}",
            why=str(error),
            hint=f"check that {self.path.parent} is writable by this user and that its disk is neither full nor"
            " read-only; deployctl changes nothing that it cannot record",
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction: its changes are on disk at the end, or rolled back when an exception is raised."""
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
            raise self._unusable(error, "written") from error

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> _Rows:
        try:
            return _Rows(self._db.execute(statement, values).fetchall())
        except sqlite3.Error as error:
            raise self._unusable(error, "read") from error

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """A read transaction, which does not see later writes. Text is read with `lossless`."""
        assert self._db, "opens the file and migrates it"
        try:
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            db.text_factory = lossless
            try:
                db.execute("BEGIN")
                yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise self._unusable(error, "read") from error
