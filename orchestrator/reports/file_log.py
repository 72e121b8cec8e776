"""The history of one file over all versions. Reads only."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from orchestrator.config import Config
from orchestrator.domain.version.manifest import CONTEXT, LAYERS, MODEL
from orchestrator.domain.version.version import FileChange
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.text import counted


@frozen
class FileLogEntry:
    """What one version changed in a file. Without the file `size`, `mode` and `digest` are None."""

    version: str
    change: Literal["added", "removed", "changed"]
    size: int | None
    mode: str | None
    digest: str | None
    at: str
    author: str
    git_commit: str | None
    git_dirty: bool | None


@frozen
class FileLogReport:
    """The changes of a file, newest version first. `older` is how many more there are."""

    app: str
    file: str
    entries: tuple[FileLogEntry, ...]
    older: int


def file_log(services: Services, config: Config, file: str, limit: int) -> FileLogReport:
    """The newest `limit` changes of a file.

    Raises:
        UsageError: no version has ever had such a file.
    """
    app = config.app.name
    changes = _changes(services, config, file)
    by_version = {change.version: change for change in changes}
    nearest = _nearest(services.ledger.parents(app), by_version)
    versions = services.ledger.versions(app)
    entries = []
    for change in reversed(changes[-limit:]):
        version = versions[change.version]
        before = by_version.get(nearest.get(version.parent or "", ""))
        entries.append(
            FileLogEntry(
                version=change.version,
                change=_kind(before, change),
                size=change.size,
                mode=change.mode,
                digest=change.digest,
                at=version.created_at,
                author=version.author,
                git_commit=version.git_commit,
                git_dirty=version.git_dirty,
            )
        )
    return FileLogReport(app, changes[0].path, tuple(entries), max(0, len(changes) - limit))


def _kind(before: FileChange | None, change: FileChange) -> Literal["added", "removed", "changed"]:
    if change.digest is None:
        return "removed"
    return "added" if before is None or before.digest is None else "changed"


def _nearest(parents: Mapping[str, str | None], by_version: Mapping[str, FileChange]) -> dict[str, str]:
    """For each version the nearest one, itself or up its lineage, that changed the file."""
    nearest: dict[str, str] = {}
    for name, parent in parents.items():
        if name in by_version:
            nearest[name] = name
        elif parent in nearest:
            nearest[name] = nearest[parent]
    return nearest


def _changes(services: Services, config: Config, file: str) -> list[FileChange]:
    app = config.app.name
    for path in _candidates(config, file):
        if changes := services.ledger.changes(app, path=path):
            return changes
    known = services.ledger.paths(app)
    similar = difflib.get_close_matches(file, known, 3) or [
        path for path in known if path.endswith(f"/{Path(file).name}")
    ]
    raise UsageError(
        f"no version of {app} has a file {file!r}",
        why=f"similar names: {', '.join(similar[:3])}" if similar else f"the history has {counted(len(known), 'file')}",
        hint="use a name that 'deployctl show' prints (context/…, model/…, image/…), or the file's path in the folder",
    )


def _candidates(config: Config, file: str) -> list[str]:
    """The paths that a file may have in a manifest: as given, or by its location on disk."""
    paths = [file] if file.startswith((CONTEXT, MODEL, LAYERS)) else []
    roots = [(MODEL, config.model_dir)] if config.model_dir is not None else []
    for place in (Path.cwd() / file, config.base / file):
        for prefix, root in [*roots, (CONTEXT, config.context_dir)]:
            place = Path(os.path.normpath(place))
            if place.is_relative_to(os.path.normpath(root)):
                paths.append(prefix + place.relative_to(os.path.normpath(root)).as_posix())
    return [*paths, MODEL + file, CONTEXT + file]
