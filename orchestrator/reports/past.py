"""What was: who was live when, and what has become of a file from version to version. Reads only."""

from __future__ import annotations

import difflib
import os
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.record.chain import Switch
from orchestrator.domain.version.manifest import CONTEXT, MODEL
from orchestrator.domain.version.version import FileChange
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services

SCHEMA = {"schema_version": 1}
Json = dict[str, Any]


def who_was_live(services: Services, app: str, start: datetime, end: datetime) -> Json:
    """The versions that were live from `start` to `end`, oldest first, each with its proof: manifest, image, commit.

    Until when one was live is None for the one that still is.
    """
    first, last = iso(start), iso(end)
    versions = services.ledger.versions(app)
    rows = []
    for switch, ended in _spans(services, app):
        if switch.since <= last and (ended is None or ended > first):
            rows.append(_lived(services, app, switch, ended, versions))
    return {**SCHEMA, "app": app, "from": first, "to": last, "live": rows}


def lived(services: Services, app: str, version: str) -> list[Json]:
    """When one version was live."""
    return [
        {"slot": switch.slot, "deployment": switch.deployment, "since": switch.since, "until": ended}
        for switch, ended in _spans(services, app)
        if switch.version == version
    ]


def _spans(services: Services, app: str) -> list[tuple[Switch, str | None]]:
    """Each switch, and when the next one ended what it began."""
    after = pairwise([*services.ledger.switches(app), None])
    return [(switch, following.since if following else None) for switch, following in after if switch is not None]


def _lived(services: Services, app: str, switch: Switch, until: str | None, versions: Any) -> Json:
    version = versions.get(switch.version)
    deployment = services.ledger.deployment(app, switch.deployment)
    return {
        "version": switch.version,
        "slot": switch.slot,
        "since": switch.since,
        "until": until,
        "deployment": switch.deployment,
        "kind": deployment.kind if deployment else None,
        "actor": deployment.actor if deployment else None,
        "reason": deployment.reason if deployment else None,
        "manifest": version.manifest if version else None,
        "image_id": version.image_id if version else None,
        "git_commit": version.git_commit if version else None,
        "git_dirty": version.git_dirty if version else None,
        "author": version.author if version else None,
    }


def file_log(services: Services, config: Config, file: str, limit: int) -> Json:
    """The history of one file, newest version first: what each version did to it.

    Raises:
        UsageError: no version has ever had such a file.
    """
    app = config.app.name
    rows = _changes_of(services, config, file)
    here = {row.version: row for row in rows}
    holder = _holders(services.ledger.parents(app), here)
    versions = services.ledger.versions(app)
    entries = []
    for row in reversed(rows[-limit:]):
        version = versions[row.version]
        before = here.get(holder.get(version.parent or "", ""))
        change = "removed" if row.digest is None else "added" if before is None or before.digest is None else "changed"
        entries.append(
            {
                "version": row.version,
                "change": change,
                "size": row.size,
                "mode": row.mode,
                "digest": row.digest,
                "at": version.created_at,
                "author": version.author,
                "git_commit": version.git_commit,
                "git_dirty": version.git_dirty,
            }
        )
    older = max(0, len(rows) - limit)
    return {**SCHEMA, "app": app, "file": rows[0].path, "entries": entries, "older": older}


def _holders(parents: dict[str, str | None], here: dict[str, FileChange]) -> dict[str, str]:
    """For each version the nearest one, itself or up its lineage, that did something to the file."""
    found: dict[str, str] = {}
    for name, parent in parents.items():
        if name in here:
            found[name] = name
        elif parent in found:
            found[name] = found[parent]
    return found


def _changes_of(services: Services, config: Config, file: str) -> list[FileChange]:
    app = config.app.name
    for path in _names(config, file):
        if rows := services.ledger.changes(app, path=path):
            return rows
    known = services.ledger.paths(app)
    near = difflib.get_close_matches(file, known, 3) or [path for path in known if path.endswith(f"/{Path(file).name}")]
    raise UsageError(
        f"no version of {app} has a file {file!r}",
        why=f"near it are: {', '.join(near[:3])}" if near else f"{len(known)} files are known",
        hint="name it as 'deployctl show' does (context/… or model/…), or by its path in the folder",
    )


def _names(config: Config, file: str) -> list[str]:
    """What a file may be called in a manifest: as it is said, or by where it is."""
    found = [file] if file.startswith((CONTEXT, MODEL)) else []
    roots = [(MODEL, config.model_dir)] if config.model_dir is not None else []
    for place in (Path.cwd() / file, config.base / file):
        for prefix, root in [*roots, (CONTEXT, config.context_dir)]:
            place = Path(os.path.normpath(place))
            if place.is_relative_to(os.path.normpath(root)):
                found.append(prefix + place.relative_to(os.path.normpath(root)).as_posix())
    return [*found, MODEL + file, CONTEXT + file]
