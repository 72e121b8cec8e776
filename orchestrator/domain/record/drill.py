"""The events about drills: the newest one of a version, and whether a drill has one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.domain.record.chain import Event, read_detail

DRILLED = "drilled"
"""The kind of an event about a drill that has ended. Its detail has `version` (the one that was started), `live`,
`mode`, `seconds` (until it was ready; None when it was not), `outcome`, `actor`, `deployment`, and `why` unless it
succeeded."""

_REMOVED = "removed"


def newest_drill(events: Iterable[Event], version: str) -> tuple[str, dict[str, Any]] | None:
    """When the newest drill of a version ended, and the detail of its event; `events` are newest first.

    None when there is none since the app was last removed: its versions are counted from v1 again.
    """
    for event in events:
        if event.kind == _REMOVED:
            return None
        detail = read_detail(event.detail) if event.kind == DRILLED else {}
        if detail.get("version") == version:
            return event.at, detail
    return None


def is_recorded(events: Iterable[Event], deployment: int) -> bool:
    """Whether there is an event about the drill that was journaled as this deployment."""
    return any(event.kind == DRILLED and read_detail(event.detail).get("deployment") == deployment for event in events)
