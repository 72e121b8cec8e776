"""The versions of an app: as a tree, and one in full. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.domain.naming import version_number
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version import settings
from orchestrator.domain.version.lineage import Node, tree
from orchestrator.domain.version.manifest import EMPTY, new_bytes
from orchestrator.domain.version.mark import Mark, mark
from orchestrator.domain.version.version import Version
from orchestrator.errors import OperationFailed
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe
from orchestrator.reports.diff import LayerReport, version_of
from orchestrator.reports.history import DeploymentSummary, summary
from orchestrator.reports.who_was_live import LivePeriod, live_periods


@frozen
class VersionFacts:
    """The record of one version. `manifest` is its identity; times are None for what has not happened."""

    version: str
    mark: Mark
    parent: str | None
    image: str
    image_id: str
    pushed: str | None
    from_image: str | None
    manifest: str
    author: str
    created_at: str
    live_at: str | None
    stable_at: str | None
    pruned_at: str | None
    bad_at: str | None
    bad_why: str
    git_commit: str | None
    git_dirty: bool | None


@frozen
class FileCounts:
    """How many files a version added or changed, and how many it removed, compared with its parent."""

    changed: int
    removed: int


@frozen
class TreeVersion(VersionFacts):
    """A version in the tree, and those whose parent it is."""

    delta: FileCounts
    children: tuple[TreeVersion, ...]


@frozen
class TreeReport:
    """The versions of an app as trees of parents. `older` is how many are not shown."""

    app: str
    live: str | None
    older: int
    versions: tuple[TreeVersion, ...]


@frozen
class VersionFiles:
    """The files of a version. `changed`, `removed` and `new_bytes` compare it with its parent."""

    count: int
    bytes: int
    changed: int
    removed: int
    new_bytes: int
    paths: tuple[str, ...]


@frozen
class VersionContainer:
    """A container of a version. `address` is empty when it cannot be reached."""

    id: str
    name: str
    slot: Slot
    state: str
    address: str


@frozen
class ShowReport(VersionFacts):
    """One version in full. Settings that may be secret are hidden."""

    app: str
    files: VersionFiles | None
    image_layers: tuple[LayerReport, ...] | None
    settings: Mapping[str, Any]
    was_live: tuple[LivePeriod, ...]
    containers: tuple[VersionContainer, ...]
    deployments: tuple[DeploymentSummary, ...]


def lineage(services: Services, app: str, limit: int = 200) -> TreeReport:
    """The newest `limit` versions as a tree."""
    known = services.ledger.versions(app)
    newest = sorted(known, key=version_number)[-limit:]
    versions = {name: known[name] for name in newest}
    slot = services.live(app)
    live = slot.version if slot else None
    left = services.ledger.left_by_rollback(app)
    counts = services.ledger.change_counts(app)

    def grow(node: Node) -> TreeVersion:
        return TreeVersion(
            **_facts(node.version, live, left),
            delta=FileCounts(*counts.get(node.version.name, (0, 0))),
            children=tuple(grow(child) for child in node.children),
        )

    return TreeReport(app, live, len(known) - len(versions), tuple(grow(node) for node in tree(versions)))


def _facts(version: Version, live: str | None, left: set[str]) -> dict[str, Any]:
    return {
        "version": version.name,
        "mark": mark(version, live, left),
        "parent": version.parent,
        "image": version.image,
        "image_id": version.image_id,
        "pushed": version.pushed,
        "from_image": version.from_image,
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


def show(services: Services, app: str, name: str) -> ShowReport:
    """One version in full.

    Raises:
        UsageError: there is no such version.
    """
    version = version_of(services, app, name)
    observed = observe(services, app)
    live = observed.live.version if observed.live else None
    deployments = [
        deployment
        for deployment in services.ledger.deployments(app, -1)
        if name in (deployment.from_version, deployment.to_version)
    ]
    layers = services.ledger.layers(app, name)
    return ShowReport(
        **_facts(version, live, services.ledger.left_by_rollback(app)),
        app=app,
        files=_files(services, version),
        image_layers=None if layers is None else tuple(LayerReport(layer.digest, layer.size) for layer in layers),
        settings=settings.shown(version.settings),
        was_live=live_periods(services, app, name),
        containers=tuple(
            VersionContainer(each.id, each.name, each.slot, each.state, each.address) for each in observed.of(name)
        ),
        deployments=tuple(summary(services, deployment) for deployment in deployments),
    )


def _files(services: Services, version: Version) -> VersionFiles | None:
    """The files of a version; None when its manifest is missing or was changed."""
    try:
        manifest = services.manifests.load(version.manifest)
        above = services.ledger.versions(version.app).get(version.parent or "")
        parent = (services.manifests.load(above.manifest) if above else None) or EMPTY
    except OperationFailed as error:
        services.reporter.note(str(error))
        return None
    if manifest is None:
        return None
    changes = services.ledger.changes(version.app, version=version.name)
    return VersionFiles(
        count=len(manifest.files),
        bytes=manifest.size,
        changed=sum(change.digest is not None for change in changes),
        removed=sum(change.digest is None for change in changes),
        new_bytes=new_bytes(parent, manifest),
        paths=tuple(manifest.files),
    )
