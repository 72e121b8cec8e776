"""The ledger's events, as a chain; every change of its history is one of them, in the same transaction.

A version, a deployment or an image that changes is sealed: its event carries the digest of its row as it is from then
on. What is read to be proven is read as the file has it, at one moment: damage is named, whatever it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from orchestrator.adapters.old_sqlite.file import LedgerFile
from orchestrator.adapters.old_sqlite.sealing import DEPLOYMENT, EVENT, IMAGE, LIVE, VERSION, append, named
from orchestrator.domain.record import chain
from orchestrator.domain.record.chain import Event, Switch, plain
from orchestrator.errors import Degraded

_Key = tuple[str, str, object]


class EventLedger(LedgerFile):
    """What happened, in the order in which it was recorded."""

    def event(self, app: str, kind: str, detail: dict[str, Any]) -> None:
        with self._transaction() as db:
            append(db, self._now(), app, kind, detail)

    def head(self) -> int:
        """The number of the newest event; 0 when there is none."""
        return int(self._read("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()[0])

    def switches(self, app: str) -> list[Switch]:
        """Which versions were live from when on, in the order in which that was recorded.

        Raises:
            Degraded: one of the events that say it is damaged.
        """
        found = []
        rows = self._read("SELECT id, detail FROM events WHERE app = ? AND kind = ? ORDER BY id", (app, LIVE))
        for number, detail in rows:
            said = chain.said(detail)
            try:
                found.append(Switch(said["version"], said["slot"], said["deployment"], said["since"]))
            except KeyError:
                raise Degraded(
                    f"nobody can say when {app} was served by what",
                    why=f"event {number} of the ledger is damaged",
                    hint="deployctl verify says what else is not as it was recorded; restore the ledger from a backup",
                ) from None
        return found

    def audit(self) -> tuple[list[Event], list[str]]:
        """All events, and what is not as they say, in words; both from one moment."""
        with self._snapshot() as db:
            events = _events(db)
            return events, [*chain.breaks(events), *_unsealed(db, events)]


def _events(db: sqlite3.Connection) -> list[Event]:
    return [Event(*row) for row in db.execute(f"SELECT {EVENT} FROM events ORDER BY id")]


def _unsealed(db: sqlite3.Connection, events: list[Event]) -> Iterator[str]:
    known: dict[_Key, dict[str, Any]] = {}
    live: dict[str, dict[str, Any]] = {}
    for event in events:
        said = chain.said(event.detail)
        if event.kind == LIVE:
            live[event.app] = said
        elif event.kind in (VERSION, DEPLOYMENT, IMAGE) and isinstance(said.get(event.kind), str | int):
            known[event.app, event.kind, said[event.kind]] = said
    there: set[_Key] = set()
    for row in _all(db, "SELECT * FROM versions ORDER BY rowid"):
        app, name = row["app"], row["name"]
        there.add((app, VERSION, name))
        if known.get((app, VERSION, name), {}).get("row") != chain.seal(row):
            yield f"the record of {plain(app)} {plain(name)} is not what was recorded"
    for row in _all(db, "SELECT * FROM images"):
        app, name = row["app"], row["version"]
        there.add((app, IMAGE, name))
        if known.get((app, IMAGE, name), {}).get("row") != chain.seal(row):
            yield f"the layers of the image of {plain(app)} {plain(name)} are not what was recorded"
    yield from _deployments(db, known, there)
    for app, slot, version, number in db.execute("SELECT app, slot, version, deployment FROM slots WHERE state='live'"):
        said = live.get(app, {})
        if (said.get("slot"), said.get("version"), said.get("deployment")) != (slot, version, number):
            went = f"{said['version']} went live last" if "version" in said else "none went live"
            yield (
                f"the slots say that {plain(version)} of {plain(app)} is live in {plain(slot)}"
                f" by deployment {plain(number)}, which is not what was recorded: {went}"
            )
    for app, kind, name in known:
        if (app, kind, name) not in there:
            yield f"{kind} {plain(name)} of {plain(app)} was recorded, and is gone"


def _deployments(db: sqlite3.Connection, known: dict[_Key, dict[str, Any]], there: set[_Key]) -> Iterator[str]:
    journals: dict[object, list[str]] = {}
    for row in _all(db, "SELECT * FROM steps ORDER BY id"):
        journals.setdefault(row["deployment"], []).append(chain.seal(row))
    for row in _all(db, "SELECT * FROM deployments ORDER BY id"):
        app, number = row["app"], row["id"]
        there.add((app, DEPLOYMENT, number))
        said = known.get((app, DEPLOYMENT, number), {})
        if said.get("row") != chain.seal(row):
            yield f"the record of deployment {number} of {plain(app)} is not what was recorded"
        if row["outcome"] is not None and said.get("journal") != chain.gather(journals.get(number, [])):
            yield f"the journal of deployment {number} of {plain(app)} is not what was recorded"


def _all(db: sqlite3.Connection, statement: str) -> Iterator[dict[str, Any]]:
    cursor = db.execute(statement)
    for row in cursor:
        yield named(cursor, [row])[0]
