"""The versions: for `tree` and `show`. Reads only; each answer is ready for JSON."""

from __future__ import annotations

from typing import Any

from orchestrator.domain.naming import version_number
from orchestrator.domain.version import settings
from orchestrator.domain.version.lineage import Node, tree
from orchestrator.domain.version.manifest import EMPTY, new_bytes
from orchestrator.domain.version.version import Version
from orchestrator.errors import OperationFailed
from orchestrator.ports.services import Services
from orchestrator.reports.diff import version_of
from orchestrator.reports.past import lived
from orchestrator.reports.status import deployment_row

SCHEMA = {"schema_version": 1}
Json = dict[str, Any]


def lineage(services: Services, app: str, limit: int = 200) -> Json:
    """The newest `limit` versions as a tree, each with its mark and the size of its delta; older ones are counted."""
    known = services.ledger.versions(app)
    newest = sorted(known, key=version_number)[-limit:]
    versions = {name: known[name] for name in newest}
    slot = services.live(app)
    live = slot.version if slot else None
    left = services.ledger.left_by_rollback(app)
    counts = services.ledger.change_counts(app)

    def grow(node: Node) -> Json:
        put, gone = counts.get(node.version.name, (0, 0))
        row = {**version_row(node.version, live, left), "delta": {"put": put, "gone": gone}}
        return {**row, "children": [grow(child) for child in node.children]}

    rows = [grow(node) for node in tree(versions)]
    return {**SCHEMA, "app": app, "live": live, "older": len(known) - len(versions), "versions": rows}


def version_row(version: Version, live: str | None, left: set[str]) -> Json:
    """One version with its mark; `left` are those that a rollback took the traffic from."""
    return {
        "version": version.name,
        "mark": _mark(version, live, left),
        "parent": version.parent,
        "image": version.image,
        "image_id": version.image_id,
        "pushed": version.pushed,
        "manifest": version.manifest,
        "author": version.author,
        "created_at": version.created_at,
        "live_at": version.live_at,
        "stable_at": version.stable_at,
        "pruned_at": version.pruned_at,
        "bad_at": version.bad_at,
        "bad_why": version.bad_why,
        "git_commit": version.git_commit,
        "git_dirty": version.git_dirty,
    }


def _mark(version: Version, live: str | None, left: set[str]) -> str:
    if version.name == live:
        return "live"
    if version.bad_at:
        return "bad"
    if version.name in left:
        return "rolled back"
    if version.pruned_at:
        return "pruned"
    return "stable" if version.stable_at else "not stable" if version.live_at else "never live"


def show(services: Services, app: str, name: str) -> Json:
    """Everything about one version; values that may be secret are not in it.

    Raises:
        UsageError: there is no such version.
    """
    version = version_of(services, app, name)
    observed = services.observe(app)
    live = observed.live.version if observed.live else None
    rows = [
        {key: value for key, value in deployment_row(services, found).items() if key != "steps"}
        for found in services.ledger.deployments(app, -1)
        if name in (found.from_version, found.to_version)
    ]
    containers = [
        {"id": c.id, "name": c.name, "slot": c.slot, "state": c.state, "address": c.address} for c in observed.of(name)
    ]
    layers = services.ledger.layers(app, name)
    return {
        **SCHEMA,
        "app": app,
        **version_row(version, live, services.ledger.left_by_rollback(app)),
        "files": _files(services, version),
        "image_layers": None if layers is None else [{"digest": digest, "size": size} for digest, size in layers],
        "settings": settings.shown(version.settings),
        "was_live": lived(services, app, name),
        "containers": containers,
        "deployments": rows,
    }


def _files(services: Services, version: Version) -> Json | None:
    """What a version's manifest holds, in figures; None when it is not there, or is another one."""
    try:
        manifest = services.artifacts.known(version.manifest)
        above = services.ledger.versions(version.app).get(version.parent or "")
        parent = (services.artifacts.known(above.manifest) if above else None) or EMPTY
    except OperationFailed as error:
        services.reporter.note(str(error))
        return None
    if manifest is None:
        return None
    changes = services.ledger.changes(version.app, version=version.name)
    return {
        "count": len(manifest.files),
        "bytes": manifest.size,
        "put": sum(change.digest is not None for change in changes),
        "gone": sum(change.digest is None for change in changes),
        "new_bytes": new_bytes(parent, manifest),
        "paths": list(manifest.files),
    }
