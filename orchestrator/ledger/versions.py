"""The ledger's versions: how one is written, and how they are read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.core.model import Version

COLUMNS = (
    "app",
    "name",
    "image",
    "image_id",
    "context",
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
    "snapshot",
)
NAMES = ", ".join(COLUMNS)


class Versions(Mapping[str, Version]):
    """An app's versions as they were read, in the order they were made; a row becomes a Version when it is asked for.

    Most commands ask for a few: taking thousands of rows apart would be most of what they do.
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


def insert(db: sqlite3.Connection, version: Version) -> None:
    """Writes a version, or writes it anew."""
    values = {**{name: getattr(version, name) for name in COLUMNS}, "snapshot": json.dumps(version.snapshot)}
    marks = ",".join("?" * len(values))
    db.execute(f"INSERT OR REPLACE INTO versions ({NAMES}) VALUES ({marks})", tuple(values.values()))


def _version(row: Sequence[Any]) -> Version:
    columns = dict(zip(COLUMNS, row[: len(COLUMNS)], strict=True))
    dirty = columns["git_dirty"]
    columns.update(git_dirty=None if dirty is None else bool(dirty), snapshot=json.loads(columns["snapshot"]))
    return Version(**columns)
