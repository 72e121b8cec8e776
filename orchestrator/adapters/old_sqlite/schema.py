"""The ledger's tables, as numbered migrations. A migration that has been released is never changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from orchestrator.adapters.old_sqlite import sealing
from orchestrator.domain.record import chain
from orchestrator.domain.record.chain import Switch
from orchestrator.errors import UsageError


def _chain_what_is_there(db: sqlite3.Connection) -> None:
    """Links the events that there are, and seals the versions and deployments: from here on they are provable."""
    previous = chain.BEGINNING
    for number, at, app, kind, detail in db.execute(
        "SELECT id, at, app, kind, detail FROM events ORDER BY id"
    ).fetchall():
        digest = chain.link(previous, number, at, app, kind, detail)
        db.execute("UPDATE events SET previous = ?, digest = ? WHERE id = ?", (previous, digest, number))
        previous = digest
    now = db.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()[0]
    for app, name in db.execute("SELECT app, name FROM versions ORDER BY rowid").fetchall():
        # What it was built from was digested as a whole: there is no manifest of it, and there never will be.
        sealing.version_changed(db, now, app, name, "known", manifest=None)
    for app, number in db.execute("SELECT app, id FROM deployments ORDER BY id").fetchall():
        sealing.deployment_changed(db, now, app, number, "known")
    for app, number, version, slot, since in _switches(db):
        sealing.went_live(db, now, app, Switch(version, slot, number, since))


def _switches(db: sqlite3.Connection) -> list[Any]:
    """What the journals say of who was live, and what the slots say beyond that, as after a step that was undone."""
    found: list[Any] = []
    for app, number, args, at in db.execute(
        "SELECT d.app, d.id, s.args, s.finished_at FROM steps s JOIN deployments d ON d.id = s.deployment"
        " WHERE s.name IN ('switch', 'unswitch') AND s.state = 'done' ORDER BY s.id"
    ):
        said = json.loads(args)
        found.append((app, number, said["version"], said["slot"], at))
    last = {row[0]: row for row in found}
    for row in db.execute("SELECT app, deployment, version, slot, since FROM slots WHERE state = 'live'").fetchall():
        if last.get(row[0], ())[:4] != row[:4]:
            found.append(row)
    return found


MIGRATIONS: tuple[str | Callable[[sqlite3.Connection], None], ...] = (
    """
    CREATE TABLE apps (
        name TEXT PRIMARY KEY,
        block INTEGER NOT NULL UNIQUE,          -- its block of container addresses, never given to another app
        proxy TEXT                              -- JSON: route and slots as the proxy knows them; NULL: not in it
    );
    CREATE TABLE versions (
        app TEXT NOT NULL REFERENCES apps(name),
        name TEXT NOT NULL,
        image TEXT NOT NULL,
        image_id TEXT NOT NULL,
        manifest TEXT NOT NULL,                 -- its digest: of everything the version was built from
        parent TEXT,
        author TEXT NOT NULL,
        git_commit TEXT,
        git_dirty INTEGER,
        created_at TEXT NOT NULL,
        live_at TEXT,
        stable_at TEXT,
        pruned_at TEXT,
        settings TEXT NOT NULL,                 -- JSON: the configuration it ran with last
        PRIMARY KEY (app, name)
    );
    CREATE TABLE deployments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app TEXT NOT NULL REFERENCES apps(name),
        kind TEXT NOT NULL,
        from_version TEXT,
        to_version TEXT NOT NULL,
        from_slot TEXT,
        to_slot TEXT NOT NULL,
        mode TEXT NOT NULL,
        actor TEXT NOT NULL,
        command TEXT NOT NULL,
        git_commit TEXT,
        plan TEXT NOT NULL,                     -- JSON: the steps as they were planned
        config TEXT NOT NULL,                   -- JSON: the configuration it works with
        started_at TEXT NOT NULL,
        finished_at TEXT,
        outcome TEXT,
        reason TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX deployments_by_app ON deployments(app, id);
    -- An app has at most one deployment in progress, whatever happens.
    CREATE UNIQUE INDEX one_open_deployment ON deployments(app) WHERE outcome IS NULL;
    CREATE TABLE steps (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        deployment INTEGER NOT NULL REFERENCES deployments(id),
        seq INTEGER NOT NULL,
        name TEXT NOT NULL,
        args TEXT NOT NULL,
        undo INTEGER NOT NULL,
        state TEXT NOT NULL,
        started_at TEXT NOT NULL,
        finished_at TEXT,
        detail TEXT NOT NULL DEFAULT '{}'
    );
    CREATE INDEX steps_by_deployment ON steps(deployment, id);
    CREATE TABLE slots (
        app TEXT NOT NULL REFERENCES apps(name),
        slot TEXT NOT NULL,
        version TEXT NOT NULL,
        deployment INTEGER NOT NULL,
        state TEXT NOT NULL,
        since TEXT NOT NULL,
        warm_until TEXT,
        PRIMARY KEY (app, slot)
    );
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        app TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX events_by_app ON events(app, id);
    """,
    # How long a step took by a clock that only goes forwards; the times beside it are for people.
    "ALTER TABLE steps ADD COLUMN seconds REAL;",
    """
    -- Went bad while it was live, and was rolled back by itself: not released again unless somebody insists.
    ALTER TABLE versions ADD COLUMN bad_at TEXT;
    ALTER TABLE versions ADD COLUMN bad_why TEXT NOT NULL DEFAULT '';
    -- A live version is watched until then before it counts as stable; NULL: it is not baking.
    ALTER TABLE slots ADD COLUMN bake_until TEXT;
    CREATE TABLE watch (
        app TEXT PRIMARY KEY REFERENCES apps(name),
        memory TEXT NOT NULL                    -- JSON: what one pass of the watchdog tells the next
    );
    CREATE TABLE passes (                       -- the watchdog's last passes
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app TEXT NOT NULL REFERENCES apps(name),
        at TEXT NOT NULL,
        seconds REAL NOT NULL,
        outcome TEXT NOT NULL,
        said TEXT NOT NULL                      -- JSON: sentences for people
    );
    CREATE INDEX passes_by_app ON passes(app, id);
    CREATE TABLE counters (                     -- what only grows, for metrics
        app TEXT NOT NULL REFERENCES apps(name),
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (app, name)
    );
    """,
    """
    -- Each event carries the digest of the one before it, and its own, over all that it says.
    ALTER TABLE events ADD COLUMN previous TEXT NOT NULL DEFAULT '';
    ALTER TABLE events ADD COLUMN digest TEXT NOT NULL DEFAULT '';
    CREATE INDEX events_by_kind ON events(app, kind, id);
    -- Where a registry has the version's image, by digest; NULL: nowhere.
    ALTER TABLE versions ADD COLUMN pushed TEXT;
    CREATE TABLE changes (                      -- the delta of each version's manifest to its parent's
        app TEXT NOT NULL REFERENCES apps(name),
        path TEXT NOT NULL,
        version TEXT NOT NULL,
        kind TEXT,                              -- file or link; NULL, like what follows: it is gone
        mode TEXT,
        size INTEGER,
        digest TEXT,
        target TEXT,                            -- where a link leads to
        PRIMARY KEY (app, path, version)
    ) WITHOUT ROWID;
    CREATE INDEX changes_by_version ON changes(app, version);
    CREATE TABLE builds (                       -- the other part of the delta, where it changed
        app TEXT NOT NULL REFERENCES apps(name),
        version TEXT NOT NULL,
        facts TEXT NOT NULL,                    -- JSON: the Dockerfile's name, the stage, the arguments' digest
        PRIMARY KEY (app, version)
    );
    CREATE TABLE images (                       -- of what a version's image consists
        app TEXT NOT NULL REFERENCES apps(name),
        version TEXT NOT NULL,
        layers TEXT NOT NULL,                   -- JSON: digest and size of each layer, the lowest first
        PRIMARY KEY (app, version)
    );
    """,
    _chain_what_is_there,
)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(db: sqlite3.Connection, file: str) -> None:
    """Brings the ledger to this program's schema; each migration is one transaction.

    Raises:
        UsageError: a newer deployctl has written it.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA_VERSION:
        raise UsageError(
            f"{file} was written by a newer deployctl",
            why=f"its schema is {found}, this program knows {SCHEMA_VERSION}",
            hint="update deployctl (pip install --upgrade deployctl)",
        )
    while found < SCHEMA_VERSION:
        db.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated between the look and the lock.
            found = int(db.execute("PRAGMA user_version").fetchone()[0])
            if found < SCHEMA_VERSION:
                step = MIGRATIONS[found]
                if callable(step):
                    step(db)
                else:
                    for statement in _statements(step):
                        db.execute(statement)
                found += 1
                db.execute(f"PRAGMA user_version = {found}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


def _statements(script: str) -> list[str]:
    # executescript() would commit the open transaction, so the statements run one by one.
    statements, text = [], ""
    for line in script.splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements
