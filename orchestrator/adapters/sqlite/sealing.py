"""Adds events to the chain and seals the rows that they are about, in the transaction that changes those rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from orchestrator.domain.record import chain
from orchestrator.domain.record.chain import Switch

VERSION, DEPLOYMENT, IMAGE, LIVE, REMOVED = "version", "deployment", "image", "live", "removed"
MAINTENANCE = "maintenance"
EVENT = "id, at, app, kind, detail, previous, digest"


def lossless(data: bytes) -> str:
    """Decodes text without loss: bytes that are not UTF-8 are kept, so that they can be sealed and shown."""
    return data.decode(errors="surrogateescape")


def append(db: sqlite3.Connection, at: str, app: str, kind: str, detail: dict[str, Any]) -> None:
    """Adds an event to the end of the chain."""
    last = db.execute("SELECT id, digest FROM events ORDER BY id DESC LIMIT 1").fetchone()
    number, previous = (last[0] + 1, last[1]) if last else (1, chain.BEGINNING)
    text = json.dumps(detail)
    digest = chain.link(previous, number, at, app, kind, text)
    db.execute(f"INSERT INTO events ({EVENT}) VALUES (?,?,?,?,?,?,?)", (number, at, app, kind, text, previous, digest))


def version_changed(db: sqlite3.Connection, at: str, app: str, version: str, what: str) -> None:
    """Records that a version's row was written; `what` is the reason in one word. Ignores unknown versions."""
    rows = _rows(db, "SELECT * FROM versions WHERE app = ? AND name = ?", (app, version))
    if rows:
        append(db, at, app, VERSION, {VERSION: version, "what": what, "row": chain.seal(rows[0])})


def deployment_changed(db: sqlite3.Connection, at: str, app: str, deployment: int, what: str) -> None:
    """Records that a deployment's row was written, and seals its journal."""
    row = chain.seal(_rows(db, "SELECT * FROM deployments WHERE id = ?", (deployment,))[0])
    journal = chain.seal_all(_rows(db, "SELECT * FROM steps WHERE deployment = ? ORDER BY id", (deployment,)))
    append(db, at, app, DEPLOYMENT, {DEPLOYMENT: deployment, "what": what, "row": row, "journal": journal})


def image_changed(db: sqlite3.Connection, at: str, app: str, version: str) -> None:
    """Records that the layers of a version's image were written."""
    row = chain.seal(_rows(db, "SELECT * FROM images WHERE app = ? AND version = ?", (app, version))[0])
    append(db, at, app, IMAGE, {IMAGE: version, "row": row})


def went_live(db: sqlite3.Connection, at: str, app: str, switch: Switch) -> None:
    """Records when a version became live."""
    detail = {"version": switch.version, "slot": switch.slot, "deployment": switch.deployment, "since": switch.since}
    append(db, at, app, LIVE, detail)


def last_live(db: sqlite3.Connection, app: str) -> tuple[object, object, object]:
    """Slot, version and deployment of the app's newest "live" event; None in each place that it does not say."""
    row = db.execute(
        "SELECT detail FROM events WHERE app = ? AND kind = ? ORDER BY id DESC LIMIT 1", (app, LIVE)
    ).fetchone()
    detail = chain.read_detail(row[0]) if row else {}
    return detail.get("slot"), detail.get("version"), detail.get("deployment")


def _rows(db: sqlite3.Connection, statement: str, values: Sequence[object]) -> list[dict[str, Any]]:
    before, db.text_factory = db.text_factory, lossless
    try:
        cursor = db.execute(statement, values)
        return named(cursor, cursor.fetchall())
    finally:
        db.text_factory = before


def named(cursor: sqlite3.Cursor, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows with the names of their columns."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in rows]
