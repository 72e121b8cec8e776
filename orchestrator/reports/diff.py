"""What is different from one version to another: files, tensors, settings, layers of the image, commits. Reads only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orchestrator.config import Config
from orchestrator.domain.version import settings
from orchestrator.domain.version.manifest import File, Manifest, delta, new_bytes
from orchestrator.domain.version.version import Version
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services

SCHEMA = {"schema_version": 1}
Json = dict[str, Any]


def compare(services: Services, config: Config, before: str, after: str) -> Json:
    """All that is different. Values that may be secret are not in it.

    Raises:
        UsageError: there is no such version, or its manifest was never kept.
        DeploymentFailed: a manifest was changed.
    """
    app = config.app.name
    old, new = (version_of(services, app, name) for name in (before, after))
    one, two = (manifest_of(services, version) for version in (old, new))
    paths = _changed(one, two)
    rows = [_row(path, one.files.get(path), two.files.get(path)) for path in paths]
    counts = {change: sum(row["change"] == change for row in rows) for change in ("added", "removed", "changed")}
    summary = {**counts, "bytes_before": one.size, "bytes_after": two.size, "new_bytes": new_bytes(one, two)}
    return {
        **SCHEMA,
        "app": app,
        "from": before,
        "to": after,
        "manifest_before": one.digest,
        "manifest_after": two.digest,
        "files": rows,
        "summary": summary,
        "tensors": [row for path in paths if (row := _tensors(services, path, one, two))],
        "build": settings.changes(one.build, two.build),
        "settings": settings.changes(old.settings, new.settings),
        "image": _layers(services, app, before, after),
        "commits": _commits(services, config, old, new),
    }


def version_of(services: Services, app: str, name: str) -> Version:
    """A version by its name.

    Raises:
        UsageError: there is none.
    """
    versions = services.ledger.versions(app)
    if name not in versions:
        known = list(versions)
        shown = ", ".join(known[-10:]) or "none yet"
        more = f" and {len(known) - 10} older" if len(known) > 10 else ""
        raise UsageError(f"there is no version {name} of {app}", why=f"the versions are: {shown}{more}")
    return versions[name]


def manifest_of(services: Services, version: Version) -> Manifest:
    """A version's manifest.

    Raises:
        UsageError: it was never kept.
        DeploymentFailed: it was changed.
    """
    found = services.artifacts.known(version.manifest)
    if found is None:
        raise UsageError(
            f"the manifest of {version.name} is not there",
            why="the version was made by a deployctl that kept none, or the store was removed",
            hint="deployctl verify says what else is missing",
        )
    return found


def _changed(one: Manifest, two: Manifest) -> list[str]:
    change = delta(one, two)
    return sorted([*change.gone, *(file.path for file in change.put)])


def _row(path: str, before: File | None, after: File | None) -> Json:
    change = "added" if before is None else "removed" if after is None else "changed"
    facts: Json = {"path": path, "change": change}
    for name, file in (("before", before), ("after", after)):
        for key in ("size", "digest", "mode"):
            facts[f"{key}_{name}"] = getattr(file, key) if file else None
    return facts


def _tensors(services: Services, path: str, one: Manifest, two: Manifest) -> Json | None:
    before, after = one.files.get(path), two.files.get(path)
    if before is None or after is None or before.digest == after.digest:
        return None
    found, why = services.artifacts.tensors(before, after)
    if not found and why is None:
        return None
    return {"path": path, "tensors": [asdict(change) for change in found], "note": why}


def _layers(services: Services, app: str, before: str, after: str) -> Json | None:
    old, new = services.ledger.layers(app, before), services.ledger.layers(app, after)
    if old is None or new is None:
        return None
    there = {digest for digest, _ in old}
    rows = [{"digest": digest, "size": size} for digest, size in new if digest not in there]
    shared = [size for digest, size in new if digest in there]
    new_size = sum(size for digest, size in new if digest not in there)
    return {"shared_layers": len(shared), "shared_bytes": sum(shared), "new_layers": rows, "new_bytes": new_size}


def _commits(services: Services, config: Config, old: Version, new: Version) -> Json:
    found: Json = {"before": old.git_commit, "after": new.git_commit, "dirty": bool(new.git_dirty), "between": None}
    if old.git_commit and new.git_commit:
        commits = services.artifacts.commits(config.base, old.git_commit, new.git_commit)
        found["between"] = None if commits is None else [asdict(commit) for commit in commits]
    return found
