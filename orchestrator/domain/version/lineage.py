"""The tree of versions. A rollback goes up the tree, never back and forth between two versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from orchestrator.domain.naming import version_number
from orchestrator.domain.version.version import Version
from orchestrator.frozen import frozen


def ancestors(versions: Mapping[str, Version], name: str) -> list[Version]:
    """The ancestors of `name`, its parent first. The list ends at an unknown version or a cycle (a damaged ledger)."""
    return list(_upwards(versions, name))


def _upwards(versions: Mapping[str, Version], name: str) -> Iterator[Version]:
    seen = {name}
    current = versions.get(name)
    while current is not None and current.parent is not None and current.parent not in seen:
        seen.add(current.parent)
        current = versions.get(current.parent)
        if current is not None:
            yield current


def rollback_target(versions: Mapping[str, Version], live: str | None) -> Version | None:
    """The last stable version up the lineage of `live` that was not pruned and is not marked bad; None without one."""
    if live is None:
        return None
    # The target is usually the parent, so the walk is lazy.
    above = _upwards(versions, live)
    stable = (version for version in above if version.stable_at and not version.pruned_at and not version.bad_at)
    return next(stable, None)


def stable_beside(versions: Mapping[str, Version], live: str) -> list[str]:
    """The other stable versions that are not marked bad and are kept, newest first: `rollback --to` takes them."""
    good = [v for v in versions.values() if v.stable_at and not v.bad_at and not v.pruned_at and v.name != live]
    return [version.name for version in sorted(good, key=lambda item: version_number(item.name), reverse=True)]


@frozen
class Node:
    """A version and its children in the tree."""

    version: Version
    children: tuple[Node, ...]


def tree(versions: Mapping[str, Version]) -> tuple[Node, ...]:
    """The versions as trees. A version whose parent is unknown is a root; children are ordered by their numbers."""
    children: dict[str | None, list[Version]] = {}
    for version in sorted(versions.values(), key=lambda item: version_number(item.name)):
        parent = version.parent if version.parent in versions and version.parent != version.name else None
        children.setdefault(parent, []).append(version)

    def node(version: Version, above: frozenset[str]) -> Node:
        path = above | {version.name}
        nodes = [node(child, path) for child in children.get(version.name, []) if child.name not in path]
        return Node(version, tuple(nodes))

    return tuple(node(version, frozenset()) for version in children.get(None, []))


def kept(
    versions: Mapping[str, Version],
    live: str | None,
    warm: set[str],
    limit: int,
    *,
    rolled_back: AbstractSet[str] = frozenset(),
) -> set[str]:
    """The versions that retention keeps: live, its rollback target, the warm ones, and the best `limit`.

    Only versions that have been live are counted: no other version can be a rollback target. Those that are marked bad,
    were never stable, or were left by a rollback go first, then the older ones.
    """
    served = [v for v in versions.values() if v.live_at and not v.pruned_at]

    def worth(version: Version) -> tuple[bool, str, int]:
        good = version.stable_at is not None and version.bad_at is None and version.name not in rolled_back
        return good, version.live_at or "", version_number(version.name)

    served.sort(key=worth, reverse=True)
    keep = {version.name for version in served[:limit]} | warm
    if live is not None:
        keep.add(live)
    target = rollback_target(versions, live)
    if target is not None:
        keep.add(target.name)
    return keep
