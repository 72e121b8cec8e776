"""The ledger's versions, their images, and their changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from orchestrator.adapters.sqlite.file import LedgerFile
from orchestrator.adapters.sqlite.sealing import image_changed, version_changed
from orchestrator.domain.version.build import Layer
from orchestrator.domain.version.manifest import Delta, File
from orchestrator.domain.version.version import FileChange, Version
from orchestrator.errors import UsageError

COLUMNS = (
    "app",
    "name",
    "image",
    "image_id",
    "manifest",
    "parent",
    "author",
    "created_at",
    "git_commit",
    "git_dirty",
    "live_at",
    "stable_at",
    "pruned_at",
    "bad_at",
    "bad_why",
    "pushed",
    "from_image",
    "settings",
)
NAMES = ", ".join(COLUMNS)


class LazyVersions(Mapping[str, Version]):
    """The versions of an app as they were read, in the order of their creation.

    A row is converted into a Version on access: most commands need a few of thousands.
    """

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows = {row[1]: row for row in rows}
        self._made: dict[str, Version] = {}

    def __getitem__(self, name: str) -> Version:
        if name not in self._made:
            self._made[name] = _version(self._rows[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows


class SqliteVersions(LedgerFile):
    """The versions of all apps, and the state of each."""

    def versions(self, app: str) -> Mapping[str, Version]:
        """The app's versions by name, in the order of their creation."""
        # Sorted here, because sorting whole rows in SQLite takes twice the time.
        rows = self._read(f"SELECT {NAMES}, rowid FROM versions WHERE app = ?", (app,))
        return LazyVersions(sorted(rows, key=itemgetter(-1)))

    def from_image(self, app: str, version: str) -> str | None:
        row = self._read("SELECT from_image FROM versions WHERE app = ? AND name = ?", (app, version)).fetchone()
        return row[0] if row else None

    def record_version(self, version: Version, change: Delta | None = None) -> None:
        """Writes a version, or replaces its record; `change` is its delta to its parent, when that is new."""
        with self._transaction() as db:
            write(db, version)
            if change is not None:
                _write_changes(db, version, change)
            what = "changed" if change is None else "recorded"
            version_changed(db, self._now(), version.app, version.name, what)

    def mark_live(self, app: str, version: str, *, stable: bool) -> None:
        """Records that a version has become live (and stable); it is not pruned and not bad any more."""
        self._change(
            app,
            version,
            "stable" if stable else "live",
            "live_at = COALESCE(live_at, :now), pruned_at = NULL, bad_at = NULL, bad_why = '',"
            " stable_at = CASE WHEN :stable THEN COALESCE(stable_at, :now) ELSE stable_at END",
            stable=stable,
        )

    def mark_stable(self, app: str, version: str) -> None:
        """Records that a version is stable, unless it was before."""
        self._change(app, version, "stable", "stable_at = :now", where="stable_at IS NULL")

    def mark_pruned(self, app: str, version: str) -> None:
        """Records that a version's image and containers were removed."""
        self._change(app, version, "pruned", "pruned_at = :now")

    def mark_bad(self, app: str, version: str, why: str) -> None:
        """Marks a version as bad; it is no longer stable."""
        self._change(app, version, "bad", "bad_at = :now, bad_why = :why, stable_at = NULL", why=why)

    def record_settings(self, app: str, version: str, settings: dict[str, Any]) -> None:
        """Writes the configuration that a version runs with."""
        self._change(app, version, "configured", "settings = :settings", settings=json.dumps(settings))

    def settings(self, app: str, version: str) -> dict[str, Any]:
        """The stored configuration that a version ran with last.

        Raises:
            UsageError: there is no such version.
        """
        row = self._read("SELECT settings FROM versions WHERE app = ? AND name = ?", (app, version)).fetchone()
        if row is None:
            raise UsageError(f"the ledger has no version {version} of {app}", hint="list all versions: deployctl tree")
        settings: dict[str, Any] = json.loads(row[0])
        return settings

    def record_layers(self, app: str, version: str, layers: Sequence[Layer]) -> None:
        """Writes the layers of a version's image, the lowest first."""
        text = json.dumps([(layer.digest, layer.size) for layer in layers])
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO images VALUES (?,?,?)", (app, version, text))
            image_changed(db, self._now(), app, version)

    def layers(self, app: str, version: str) -> list[Layer] | None:
        """The layers of a version's image; None when they were never recorded."""
        row = self._read("SELECT layers FROM images WHERE app = ? AND version = ?", (app, version)).fetchone()
        return [Layer(digest, size) for digest, size in json.loads(row[0])] if row else None

    def changes(self, app: str, *, version: str | None = None, path: str | None = None) -> list[FileChange]:
        """The changes of one version, or of one path in all versions, in the order of the versions."""
        column, value = ("version", version) if path is None else ("path", path)
        rows = self._read(
            "SELECT c.version, c.path, c.kind, c.mode, c.size, c.digest, c.target FROM changes c"
            f" JOIN versions v ON v.app = c.app AND v.name = c.version WHERE c.app = ? AND c.{column} = ?"
            " ORDER BY v.rowid, c.path",
            (app, value),
        )
        return [FileChange(*row) for row in rows]

    def readable_versions(self, app: str) -> dict[str, Version]:
        """The app's versions in the order of their creation, without those whose record is damaged."""
        versions = {}
        with self._snapshot() as db:
            for row in db.execute(f"SELECT {NAMES} FROM versions WHERE app = ? ORDER BY rowid", (app,)):
                if all(_intact(value) for value in row):
                    try:
                        versions[row[1]] = _version(row)
                    except ValueError:
                        continue  # its settings are damaged
        return versions

    def delta(self, app: str, version: str) -> Delta:
        """The recorded change of a version's manifest from its parent's.

        Raises:
            ValueError: the record is damaged.
        """
        with self._snapshot() as db:
            rows = db.execute(
                "SELECT path, kind, mode, size, digest, target FROM changes WHERE app = ? AND version = ?",
                (app, version),
            ).fetchall()
            facts = db.execute("SELECT facts FROM builds WHERE app = ? AND version = ?", (app, version)).fetchone()
        try:
            files = sorted((File(*row) for row in rows if row[1] is not None), key=lambda file: file.path)
            gone = sorted(row[0] for row in rows if row[1] is None)
            return Delta(tuple(gone), tuple(files), json.loads(facts[0]) if facts else None)
        except TypeError as error:
            raise ValueError(str(error)) from error

    def parents(self, app: str) -> dict[str, str | None]:
        """Each version's parent, in the order of creation of the versions."""
        return dict(self._read("SELECT name, parent FROM versions WHERE app = ? ORDER BY rowid", (app,)))

    def paths(self, app: str) -> list[str]:
        """Every path that was ever in a manifest, sorted."""
        return [row[0] for row in self._read("SELECT DISTINCT path FROM changes WHERE app = ? ORDER BY path", (app,))]

    def change_counts(self, app: str) -> dict[str, tuple[int, int]]:
        """For each version how many files it added or changed, and how many it removed."""
        rows = self._read(
            "SELECT version, COUNT(digest), COUNT(*) - COUNT(digest) FROM changes WHERE app = ? GROUP BY version",
            (app,),
        )
        return {version: (put, gone) for version, put, gone in rows}

    def _change(
        self, app: str, version: str, what: str, assignments: str, *, where: str = "true", **values: object
    ) -> None:
        with self._transaction() as db:
            now = self._now()
            cursor = db.execute(
                f"UPDATE versions SET {assignments} WHERE app = :app AND name = :name AND {where}",
                {"now": now, "app": app, "name": version, **values},
            )
            if cursor.rowcount:
                version_changed(db, now, app, version, what)


def write(db: sqlite3.Connection, version: Version) -> None:
    """Writes a version, or replaces its record; its place in the order does not change."""
    values = {**{name: getattr(version, name) for name in COLUMNS}, "settings": json.dumps(version.settings)}
    names, marks = ", ".join(values), ",".join("?" * len(values))
    # Not INSERT OR REPLACE, which would move it to the end.
    update = ", ".join(f"{name} = excluded.{name}" for name in values)
    db.execute(
        f"INSERT INTO versions ({names}) VALUES ({marks}) ON CONFLICT (app, name) DO UPDATE SET {update}",
        tuple(values.values()),
    )


def _write_changes(db: sqlite3.Connection, version: Version, change: Delta) -> None:
    db.execute("DELETE FROM changes WHERE app = ? AND version = ?", (version.app, version.name))
    db.execute("DELETE FROM builds WHERE app = ? AND version = ?", (version.app, version.name))
    rows: list[tuple[object, ...]] = [(path, None, None, None, None, None) for path in change.removed]
    rows += [(file.path, file.kind, file.mode, file.size, file.digest, file.target) for file in change.changed]
    db.executemany(
        "INSERT INTO changes (app, version, path, kind, mode, size, digest, target) VALUES (?,?,?,?,?,?,?,?)",
        [(version.app, version.name, *row) for row in rows],
    )
    if change.build is not None:
        facts = json.dumps(dict(change.build), sort_keys=True)
        db.execute("INSERT INTO builds VALUES (?,?,?)", (version.app, version.name, facts))


def _intact(value: object) -> bool:
    """Whether this program can have written the value: it writes neither BLOBs nor text that is not UTF-8."""
    return not isinstance(value, bytes) and not (
        isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)
    )


def _version(row: Sequence[Any]) -> Version:
    columns = dict(zip(COLUMNS, row[: len(COLUMNS)], strict=True))
    dirty = columns["git_dirty"]
    columns.update(git_dirty=None if dirty is None else bool(dirty), settings=json.loads(columns["settings"]))
    return Version(**columns)
