"""The ledger's chain of events, and its comparison with the tables.

Each change of a version, a deployment or an image is sealed by an event with the digest of the changed row. An audit
reads everything in one transaction and without conversion, so that it finds any damage.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from orchestrator.adapters.sqlite.file import LedgerFile
from orchestrator.adapters.sqlite.sealing import DEPLOYMENT, EVENT, IMAGE, LIVE, REMOVED, VERSION, append, named
from orchestrator.domain.record import chain
from orchestrator.domain.record.chain import Event, Switch, plain
from orchestrator.errors import Degraded

_Key = tuple[str, str, object]
_Details = dict[_Key, dict[str, Any]]


class SqliteEvents(LedgerFile):
    """All events, in the order in which they were recorded."""

    def event(self, app: str, kind: str, detail: dict[str, Any]) -> None:
        """Adds an event to the end of the chain."""
        with self._transaction() as db:
            append(db, self._now(), app, kind, detail)

    def newest_events(self, app: str, limit: int, *, before: int | None = None) -> list[Event]:
        """The newest events of an app, newest first."""
        rows = self._read(
            f"SELECT {EVENT} FROM events WHERE app = ? AND (? IS NULL OR id < ?) ORDER BY id DESC LIMIT ?",
            (app, before, before, limit),
        )
        return [Event(*row) for row in rows]

    def events_of(self, app: str, kind: str) -> list[Event]:
        """All events of one kind, oldest first; of a removed app, only since its removal."""
        rows = self._read(
            f"SELECT {EVENT} FROM events WHERE app = ? AND kind = ?"
            " AND id > (SELECT COALESCE(MAX(id), 0) FROM events WHERE app = ? AND kind = ?) ORDER BY id",
            (app, kind, app, REMOVED),
        )
        return [Event(*row) for row in rows]

    def head(self) -> int:
        """The number of the newest event; 0 when there is none."""
        return int(self._read("SELECT COALESCE(MAX(id), 0) FROM events").fetchone()[0])

    def switches(self, app: str) -> list[Switch]:
        """Which version became live at which time, oldest first.

        Raises:
            Degraded: one of these events is damaged.
        """
        switches = []
        rows = self._read(
            "SELECT id, detail FROM events WHERE app = ? AND kind = ?"
            " AND id > (SELECT COALESCE(MAX(id), 0) FROM events WHERE app = ? AND kind = ?) ORDER BY id",
            (app, LIVE, app, REMOVED),
        )
        for number, text in rows:
            detail = chain.read_detail(text)
            try:
                switches.append(Switch(detail["version"], detail["slot"], detail["deployment"], detail["since"]))
            except KeyError:
                raise Degraded(
                    f"the record of which version of {app} was live at which time cannot be read",
                    why=f"event {number} of the ledger is damaged",
                    hint="list all differences with 'deployctl verify', and restore the ledger from a backup",
                ) from None
        return switches

    def audit(self) -> tuple[list[Event], list[str]]:
        """All events, and every difference between them and the tables as a sentence, read in one transaction."""
        with self._snapshot() as db:
            events = [Event(*row) for row in db.execute(f"SELECT {EVENT} FROM events ORDER BY id")]
            return events, [*chain.broken_links(events), *_differences(db, events)]


def _differences(db: sqlite3.Connection, events: list[Event]) -> Iterator[str]:
    recorded: _Details = {}
    live: dict[str, dict[str, Any]] = {}
    for event in events:
        detail = chain.read_detail(event.detail)
        if event.kind == REMOVED:
            live.pop(event.app, None)
            recorded = {key: known for key, known in recorded.items() if key[0] != event.app}
        elif event.kind == LIVE:
            live[event.app] = detail
        elif event.kind in (VERSION, DEPLOYMENT, IMAGE) and isinstance(detail.get(event.kind), str | int):
            recorded[event.app, event.kind, detail[event.kind]] = detail
    present: set[_Key] = set()
    yield from _rows_differ(db, VERSION, "SELECT app, name AS key, * FROM versions ORDER BY rowid", recorded, present)
    yield from _rows_differ(db, IMAGE, "SELECT app, version AS key, * FROM images", recorded, present)
    yield from _deployments_differ(db, recorded, present)
    yield from _traffic_differs(db, live)
    for app, kind, key in recorded:
        if (app, kind, key) not in present:
            yield f"{kind} {plain(key)} of {plain(app)} was recorded, but is missing"


def _rows_differ(
    db: sqlite3.Connection, kind: str, statement: str, recorded: _Details, present: set[_Key]
) -> Iterator[str]:
    words = "the record of {} {} is not" if kind == VERSION else "the layers of the image of {} {} are not"
    for row in _all(db, statement):
        app, name = row["app"], row.pop("key")
        present.add((app, kind, name))
        if recorded.get((app, kind, name), {}).get("row") != chain.seal(row):
            yield f"{words.format(plain(app), plain(name))} what was recorded"


def _deployments_differ(db: sqlite3.Connection, recorded: _Details, present: set[_Key]) -> Iterator[str]:
    journals: dict[object, list[str]] = {}
    for row in _all(db, "SELECT * FROM steps ORDER BY id"):
        journals.setdefault(row["deployment"], []).append(chain.seal(row))
    for row in _all(db, "SELECT * FROM deployments ORDER BY id"):
        app, number = row["app"], row["id"]
        present.add((app, DEPLOYMENT, number))
        detail = recorded.get((app, DEPLOYMENT, number), {})
        if detail.get("row") != chain.seal(row):
            yield f"the record of deployment {number} of {plain(app)} is not what was recorded"
        # While a deployment is open its journal grows; it is sealed at the end.
        if row["outcome"] is not None and detail.get("journal") != chain.gather(journals.get(number, [])):
            yield f"the journal of deployment {number} of {plain(app)} is not what was recorded"


def _traffic_differs(db: sqlite3.Connection, live: dict[str, dict[str, Any]]) -> Iterator[str]:
    rows = db.execute(
        "SELECT t.app, t.live, s.version, s.deployment FROM traffic t"
        " LEFT JOIN slots s ON s.app = t.app AND s.slot = t.live WHERE t.live IS NOT NULL"
    )
    for app, slot, version, number in rows:
        detail = live.get(app, {})
        if (detail.get("slot"), detail.get("version"), detail.get("deployment")) == (slot, version, number):
            continue
        last = f"{detail['version']} went live last" if "version" in detail else "no version went live"
        if version is None:
            yield f"the slots say that nothing is in {plain(slot)} of {plain(app)}, which is live: {last}"
        else:
            yield (
                f"the slots say that {plain(version)} of {plain(app)} is live in {plain(slot)}"
                f" by deployment {plain(number)}, which is not what was recorded: {last}"
            )


def _all(db: sqlite3.Connection, statement: str) -> Iterator[dict[str, Any]]:
    cursor = db.execute(statement)
    for row in cursor:
        yield named(cursor, [row])[0]
