"""The chain of events. Each entry contains the digest of the previous one, so a changed or missing entry is detected.

The construction is that of a linked timestamping log (Haber and Stornetta, 1991): H_n = SHA-256(H_(n-1), entry_n).
The chain alone does not detect that its last entries are missing: then the tables contain what no entry says. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.frozen import frozen

BEGINNING = "0" * 64


@frozen
class Event:
    """One entry as it is stored. `detail` is the stored JSON text, because the digest covers the text."""

    id: int
    at: str
    app: str
    kind: str
    detail: str
    previous: str
    digest: str


@frozen
class Switch:
    """A version became live at `since` (UTC in ISO 8601), in a slot, by a deployment."""

    version: str
    slot: str
    deployment: int
    since: str


def link(previous: str, number: int, at: str, app: str, kind: str, detail: str) -> str:
    """The digest of an entry, in hexadecimal; `previous` is the digest of the entry before it."""
    return _digest([previous, number, at, app, kind, detail])


def seal(row: Mapping[str, Any]) -> str:
    """The digest of a table's row. Empty values are left out, so a column that is added later changes no digest."""
    return _digest(sorted((name, value) for name, value in row.items() if value not in (None, "")))


def seal_all(rows: Iterable[Mapping[str, Any]]) -> str:
    """The digest of several rows in their order."""
    return gather(seal(row) for row in rows)


def gather(seals: Iterable[str]) -> str:
    """The digest of several rows in their order, from the digest of each one."""
    return _digest(list(seals))


def broken_links(events: Iterable[Event]) -> list[str]:
    """Where the chain is broken, in words; empty when it is intact."""
    problems = []
    previous = BEGINNING
    for event in events:
        if event.previous != previous:
            problems.append(f"event {event.id} ({plain(event.kind)}) does not follow the event before it")
        if event.digest != link(event.previous, event.id, event.at, event.app, event.kind, event.detail):
            problems.append(f"event {event.id} ({plain(event.kind)}) is not what was recorded")
        previous = event.digest
    return problems


def read_detail(detail: object) -> dict[str, Any]:
    """Parses the stored detail of an event; empty when it is damaged, which `broken_links` reports."""
    try:
        parsed = json.loads(detail)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def plain(value: object) -> str:
    """A stored value as printable text. What is not UTF-8 is escaped."""
    return str(value).encode(errors="backslashreplace").decode()


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, separators=(",", ":"), default=_blob).encode()).hexdigest()


def _blob(value: object) -> dict[str, str]:
    # deployctl stores no BLOBs: this one is a text whose type was damaged.
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be sealed")
    return {"blob": value.hex()}
