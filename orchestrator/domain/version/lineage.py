"""The tree of parents. Rollback goes up it, never back and forth between two versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.domain.naming import version_number
from orchestrator.domain.version.version import Version


def ancestors(versions: Mapping[str, Version], name: str) -> list[Version]:
    """The parents of `name`, nearest first. A cycle (a damaged ledger) ends the walk."""
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
    """The last stable version up the lineage of `live` that is still kept; None when there is none.

    One that retention took while it was nobody's target is passed over: there is nothing left to go back to.
    """
    if live is None:
        return None
    # The target is near as a rule: nobody looks further than that.
    above = _upwards(versions, live)
    return next((found for found in above if found.stable_at and not found.pruned_at and not found.bad_at), None)


@dataclass(frozen=True)
class Node:
    """A version and what grew out of it."""

    version: Version
    children: tuple[Node, ...]


def tree(versions: Mapping[str, Version]) -> tuple[Node, ...]:
    """The versions as trees; a version whose parent is unknown is a root. Children in order of their number."""
    children: dict[str | None, list[Version]] = {}
    for version in sorted(versions.values(), key=lambda item: version_number(item.name)):
        parent = version.parent if version.parent in versions and version.parent != version.name else None
        children.setdefault(parent, []).append(version)

    def grow(version: Version, above: frozenset[str]) -> Node:
        inside = above | {version.name}
        grown = [grow(child, inside) for child in children.get(version.name, []) if child.name not in inside]
        return Node(version, tuple(grown))

    return tuple(grow(version, frozenset()) for version in children.get(None, []))


def kept(versions: Mapping[str, Version], live: str | None, warm: set[str], limit: int) -> set[str]:
    """The versions that retention keeps: live, its rollback target, the warm ones, and the newest `limit`.

    The newest are counted among those that were live once: a version that never served is no way back.
    """
    served = [v for v in versions.values() if v.live_at and not v.pruned_at]
    served.sort(key=lambda item: (item.live_at or "", version_number(item.name)), reverse=True)
    keep = {version.name for version in served[:limit]} | warm
    if live is not None:
        keep.add(live)
    target = rollback_target(versions, live)
    if target is not None:
        keep.add(target.name)
    return keep
