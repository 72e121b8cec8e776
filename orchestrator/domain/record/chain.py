"""The chain of events: each entry carries the digest of the one before, so none can be changed, or taken out of the
middle, unnoticed. Pure.

The construction is that of a linked timestamping log (Haber and Stornetta, 1991): H_n = SHA-256(H_(n-1), entry_n).
The last entries can be cut off unseen by the chain alone; what they recorded would then differ from its tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BEGINNING = "0" * 64


@dataclass(frozen=True)
class Event:
    """One entry as it is stored. `detail` is the text that the digest was made of, not what it means."""

    id: int
    at: str
    app: str
    kind: str
    detail: str
    previous: str
    digest: str


@dataclass(frozen=True)
class Switch:
    """From when on which version was live, in which slot, by which deployment. `since` is UTC in ISO 8601."""

    version: str
    slot: str
    deployment: int
    since: str


def link(previous: str, number: int, at: str, app: str, kind: str, detail: str) -> str:
    """The digest of an entry that follows the one with the digest `previous`, in hexadecimal."""
    return _digest([previous, number, at, app, kind, detail])


def seal(row: Mapping[str, Any]) -> str:
    """The digest of a table's row. What is empty does not count: a column that is added later changes no seal."""
    return _digest(sorted((name, value) for name, value in row.items() if value not in (None, "")))


def seal_all(rows: Iterable[Mapping[str, Any]]) -> str:
    """The digest of several rows, in their order."""
    return gather(seal(row) for row in rows)


def gather(seals: Iterable[str]) -> str:
    """The digest of several rows that were sealed one by one, in their order."""
    return _digest(list(seals))


def breaks(events: Iterable[Event]) -> list[str]:
    """Where the chain is broken, in words; empty when it is whole."""
    found = []
    before = BEGINNING
    for event in events:
        if event.previous != before:
            kind = plain(event.kind)
            found.append(f"event {event.id} ({kind}): the one before it is not the one that it followed")
        if event.digest != link(event.previous, event.id, event.at, event.app, event.kind, event.detail):
            found.append(f"event {event.id} ({plain(event.kind)}) is not what was recorded")
        before = event.digest
    return found


def said(detail: object) -> dict[str, Any]:
    """What an event says; nothing when its text is none of ours any more: the chain names it."""
    try:
        found = json.loads(detail)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def plain(value: object) -> str:
    """What was read as text, or was text once, as it can be shown: what is no UTF-8 is written out."""
    return str(value).encode(errors="backslashreplace").decode()


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, separators=(",", ":"), default=_blob).encode()).hexdigest()


def _blob(value: object) -> dict[str, str]:
    # We write no BLOBs: one that is there was text before a bit of its type changed.
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be sealed")
    return {"blob": value.hex()}
