"""The ledger's events, as a chain; every change of its history is one of them, in the same transaction.

A version or a deployment that changes is sealed: its event carries the digest of its row as it is from then on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from orchestrator.core import chain
from orchestrator.core.chain import Event, Switch
from orchestrator.ledger.file import LedgerFile

VERSION, DEPLOYMENT, LIVE = "version", "deployment", "live"
_EVENT = "id, at, app, kind, detail, previous, digest"


class EventLedger(LedgerFile):
    """What happened, in the order in which it was recorded."""

    def event(self, app: str, kind: str, detail: dict[str, Any]) -> None:
        with self._transaction() as db:
            append(db, self._now(), app, kind, detail)

    def events(self) -> list[Event]:
        """All events of all apps, oldest first."""
        return [Event(*row) for row in self._read(f"SELECT {_EVENT} FROM events ORDER BY id")]

    def switches(self, app: str) -> list[Switch]:
        """Which versions were live from when on, in the order in which that was recorded."""
        rows = self._read("SELECT detail FROM events WHERE app = ? AND kind = ? ORDER BY id", (app, LIVE))
        found = [json.loads(row[0]) for row in rows]
        return [Switch(each["version"], each["slot"], each["deployment"], each["since"]) for each in found]

    def unsealed(self) -> list[str]:
        """Which versions and deployments are not what their last event says, in words; empty when all are."""
        found = []
        known = {}
        for app, kind, detail in self._read(
            "SELECT app, kind, detail FROM events WHERE kind IN (?, ?) ORDER BY id", (VERSION, DEPLOYMENT)
        ):
            said = _read(detail)
            known[app, kind, said.get(kind)] = said
        there = set()
        for app, name in self._read("SELECT app, name FROM versions ORDER BY rowid"):
            there.add((app, VERSION, name))
            said = known.get((app, VERSION, name), {})
            if said.get("row") != seal_version(self._db, app, name):
                found.append(f"the record of {app} {name} is not what was recorded")
        for app, number, outcome in self._read("SELECT app, id, outcome FROM deployments ORDER BY id"):
            there.add((app, DEPLOYMENT, number))
            said = known.get((app, DEPLOYMENT, number), {})
            row, journal = seal_deployment(self._db, number)
            if said.get("row") != row:
                found.append(f"the record of deployment {number} of {app} is not what was recorded")
            if outcome is not None and said.get("journal") != journal:
                found.append(f"the journal of deployment {number} of {app} is not what was recorded")
        gone = [key for key in known if key not in there]
        return found + [f"{kind} {name} of {app} was recorded, and is gone" for app, kind, name in gone]


def append(db: sqlite3.Connection, at: str, app: str, kind: str, detail: dict[str, Any]) -> None:
    """Adds an event to the end of the chain."""
    last = db.execute("SELECT id, digest FROM events ORDER BY id DESC LIMIT 1").fetchone()
    number, previous = (last[0] + 1, last[1]) if last else (1, chain.BEGINNING)
    text = json.dumps(detail)
    digest = chain.link(previous, number, at, app, kind, text)
    db.execute(f"INSERT INTO events ({_EVENT}) VALUES (?,?,?,?,?,?,?)", (number, at, app, kind, text, previous, digest))


def version_changed(db: sqlite3.Connection, at: str, app: str, version: str, what: str) -> None:
    """Records that a version's row was written: `what` has become of it."""
    row = seal_version(db, app, version)
    if row is not None:
        append(db, at, app, VERSION, {VERSION: version, "what": what, "row": row})


def deployment_changed(db: sqlite3.Connection, at: str, app: str, deployment: int, what: str) -> None:
    """Records that a deployment's row was written, and seals the journal as it is."""
    row, journal = seal_deployment(db, deployment)
    append(db, at, app, DEPLOYMENT, {DEPLOYMENT: deployment, "what": what, "row": row, "journal": journal})


def went_live(db: sqlite3.Connection, at: str, app: str, switch: Switch) -> None:
    """Records from when on a version was live."""
    detail = {"version": switch.version, "slot": switch.slot, "deployment": switch.deployment, "since": switch.since}
    append(db, at, app, LIVE, detail)


def seal_version(db: sqlite3.Connection, app: str, version: str) -> str | None:
    """The digest of a version's row as it is; None when there is none."""
    rows = _rows(db, "SELECT * FROM versions WHERE app = ? AND name = ?", (app, version))
    return chain.seal(rows[0]) if rows else None


def seal_deployment(db: sqlite3.Connection, deployment: int) -> tuple[str, str]:
    """The digests of a deployment's row and of its journal as they are."""
    rows = _rows(db, "SELECT * FROM deployments WHERE id = ?", (deployment,))
    steps = _rows(db, "SELECT * FROM steps WHERE deployment = ? ORDER BY id", (deployment,))
    return chain.seal(rows[0]), chain.seal_all(steps)


def _rows(db: sqlite3.Connection, statement: str, values: Sequence[object]) -> list[dict[str, Any]]:
    cursor = db.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _read(detail: str) -> dict[str, Any]:
    # What is no JSON any more was tampered with: the chain says so, and it seals nothing.
    try:
        found = json.loads(detail)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
