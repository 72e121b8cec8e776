"""How a version is doing in one word, as the tree and the metrics show it. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.version.version import Version

Mark = Literal["live", "stable", "not stable", "rolled back", "bad", "pruned", "never live"]


def mark(version: Version, live: str | None, left: set[str]) -> Mark:
    """The mark of a version; `left` are the versions that a rollback replaced."""
    if version.name == live:
        return "live"
    if version.bad_at:
        return "bad"
    if version.name in left:
        return "rolled back"
    if version.pruned_at:
        return "pruned"
    return "stable" if version.stable_at else "not stable" if version.live_at else "never live"
