"""The ledger's tables, as numbered migrations. A migration that has been released is never changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from orchestrator.errors import UsageError

MIGRATIONS: tuple[str | Callable[[sqlite3.Connection], None], ...] = (
    """
    CREATE TABLE apps (
        name TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,         -- from 1; never given to another app
        proxy TEXT                              -- JSON: route and slots as the proxy knows them; NULL: it does not
    );
    CREATE TABLE versions (
        app TEXT NOT NULL REFERENCES apps(name),
        name TEXT NOT NULL,
        image TEXT NOT NULL,
        image_id TEXT NOT NULL,
        manifest TEXT NOT NULL,                 -- the digest of its manifest
        parent TEXT,
        author TEXT NOT NULL,
        git_commit TEXT,
        git_dirty INTEGER,
        created_at TEXT NOT NULL,
        live_at TEXT,
        stable_at TEXT,
        pruned_at TEXT,
        bad_at TEXT,                            -- marked bad: it was rolled back or aborted automatically
        bad_why TEXT NOT NULL DEFAULT '',
        pushed TEXT,                            -- its image in a registry, by digest; NULL: in none
        settings TEXT NOT NULL,                 -- JSON: the configuration it ran with last
        PRIMARY KEY (app, name)
    );
    CREATE TABLE changes (                      -- the delta of each version's manifest to its parent's
        app TEXT NOT NULL REFERENCES apps(name),
        path TEXT NOT NULL,
        version TEXT NOT NULL,
        kind TEXT,                              -- file or link; NULL, like all that follows: removed
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
    CREATE TABLE images (                       -- the layers of each version's image
        app TEXT NOT NULL REFERENCES apps(name),
        version TEXT NOT NULL,
        layers TEXT NOT NULL,                   -- JSON: digest and size of each layer, the lowest first
        PRIMARY KEY (app, version)
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
        before TEXT NOT NULL,                   -- JSON: who got the requests when it began
        plan TEXT NOT NULL,                     -- JSON: the steps as they were planned
        config TEXT NOT NULL,                   -- JSON: the configuration it works with
        started_at TEXT NOT NULL,
        finished_at TEXT,
        outcome TEXT,
        reason TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX deployments_by_app ON deployments(app, id);
    -- An app has at most one open deployment.
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
        detail TEXT NOT NULL DEFAULT '{}',
        seconds REAL                            -- by a monotonic clock; the times beside it are for people
    );
    CREATE INDEX steps_by_deployment ON steps(deployment, id);
    CREATE TABLE slots (
        app TEXT NOT NULL REFERENCES apps(name),
        slot TEXT NOT NULL,
        version TEXT NOT NULL,
        deployment INTEGER NOT NULL,
        state TEXT NOT NULL,                    -- starting, ready, warm or cold
        since TEXT NOT NULL,
        warm_until TEXT,
        bake_until TEXT,                        -- watched until then before it is stable; NULL: it is not baking
        PRIMARY KEY (app, slot)
    );
    CREATE TABLE traffic (                      -- who gets the requests
        app TEXT PRIMARY KEY REFERENCES apps(name),
        live TEXT,
        candidate TEXT,
        share INTEGER NOT NULL,                 -- the candidate's, in hundredths of a percent
        shield INTEGER NOT NULL,
        preview INTEGER NOT NULL,
        held INTEGER NOT NULL
    );
    CREATE TABLE events (                       -- a chain: each event carries the digest of the one before it
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        app TEXT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,                   -- JSON
        previous TEXT NOT NULL,
        digest TEXT NOT NULL
    );
    CREATE INDEX events_by_app ON events(app, id);
    CREATE INDEX events_by_kind ON events(app, kind, id);
    CREATE TABLE watch (
        app TEXT PRIMARY KEY REFERENCES apps(name),
        memory TEXT NOT NULL                    -- JSON: what one pass of the watchdog leaves to the next
    );
    CREATE TABLE passes (                       -- the watchdog's newest passes
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app TEXT NOT NULL REFERENCES apps(name),
        at TEXT NOT NULL,
        seconds REAL NOT NULL,
        outcome TEXT NOT NULL,
        said TEXT NOT NULL                      -- JSON: sentences for people
    );
    CREATE INDEX passes_by_app ON passes(app, id);
    CREATE TABLE counters (                     -- for metrics; they only grow
        app TEXT NOT NULL REFERENCES apps(name),
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (app, name)
    );
    """,
    """
    CREATE TABLE engine (                       -- that the containers run on: at most one
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        host TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE apps ADD COLUMN removal TEXT;       -- JSON: who removes the app; NULL: nobody does
    ALTER TABLE apps ADD COLUMN removed_at TEXT;    -- its records are gone, its number stays; NULL: it is an app
    ALTER TABLE versions ADD COLUMN from_image TEXT;-- the image that it was made from; NULL: it was built
    """,
    """
    ALTER TABLE traffic ADD COLUMN patience REAL NOT NULL DEFAULT 0;    -- of the shield, in seconds
    ALTER TABLE traffic ADD COLUMN maintenance TEXT;    -- JSON: what requests get, since when and by whom; NULL: none
    ALTER TABLE traffic ADD COLUMN sessions INTEGER NOT NULL DEFAULT 0; -- 1: those that began on the other slot stay
    CREATE TABLE rollouts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app TEXT NOT NULL REFERENCES apps(name),
        version TEXT NOT NULL,
        deployment INTEGER NOT NULL,            -- the release that began it
        data TEXT NOT NULL,                     -- JSON: its stages, where it is, and its evidence
        ended_at TEXT,
        outcome TEXT                            -- promoted or aborted; NULL: it has not ended
    );
    CREATE INDEX rollouts_by_app ON rollouts(app, outcome);
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(db: sqlite3.Connection, file: str) -> None:
    """Migrates the ledger to the schema of this program; each migration is one transaction.

    Raises:
        UsageError: the file was written by another release of deployctl.
    """
    current = int(db.execute("PRAGMA user_version").fetchone()[0])
    if current > SCHEMA_VERSION:
        raise UsageError(
            f"{file} was written by another release of deployctl",
            why=f"its schema is {current}, this release supports up to {SCHEMA_VERSION}",
            hint="update deployctl (pip install --upgrade deployctl); for a ledger of 0.1, use another --state-dir",
        )
    while current < SCHEMA_VERSION:
        db.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have migrated it between the read above and this lock.
            current = int(db.execute("PRAGMA user_version").fetchone()[0])
            if current < SCHEMA_VERSION:
                migration = MIGRATIONS[current]
                if callable(migration):
                    migration(db)
                else:
                    for statement in _statements(migration):
                        db.execute(statement)
                current += 1
                db.execute(f"PRAGMA user_version = {current}")
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
