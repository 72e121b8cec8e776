"""A cache of digests of unchanged files. It is never wrong, only incomplete.

A file is unchanged when its device, inode, size and both times are the same. An edit that keeps the size and restores
the modification time still changes ctime, which cannot be set. An edit within the same tick of the file system's clock
changes no time, so a file that was changed less than `MARGIN` before it was read is not cached.
This is Git's "racy" rule (Documentation/technical/racy-git.txt), with the change time in place of the index's.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from orchestrator.files import read_regular, write_atomic

# Nanoseconds; the coarsest file systems in use have a resolution of two seconds.
MARGIN = 2_000_000_000


def marks(status: os.stat_result) -> tuple[int, ...]:
    """The values that identify an unchanged file."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def cache_file(state_dir: Path, app: str) -> Path:
    """The path of the cache of an app."""
    return state_dir / "store" / "seen" / f"{app}.json"


class Seen:
    """The cache of one app, in one file. A missing or damaged file is an empty cache."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        try:
            rows = json.loads(read_regular(file))
            self._known = rows if isinstance(rows, dict) else {}
        except (OSError, ValueError):
            self._known = {}

    def digest(self, place: Path, status: os.stat_result) -> str | None:
        """The digest of a file; None if the file has changed or is unknown."""
        row = self._known.get(str(place))
        if not isinstance(row, list) or tuple(row[:-1]) != marks(status):
            return None
        self._used[str(place)] = row
        return str(row[-1])

    def note(self, place: Path, status: os.stat_result, digest: str, read_at: int) -> None:
        """Adds the digest of a file that was read at `read_at` (nanoseconds since the epoch)."""
        if read_at - status.st_ctime_ns > MARGIN:
            self._used[str(place)] = [*marks(status), digest]

    def save(self) -> None:
        """Writes only the entries that were used since the file was loaded."""
        if self._used == self._known:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._file, json.dumps(self._used), mode=0o600)
        except OSError:
            # For example, the disk is full: the next release reads the files again, and reports the error.
            return
