"""Configurations of versions as they are shown and compared: flat, and without what may be secret. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
# Values that may be passwords, and what only repeats others or says where the file was. `args` is a manifest's digest
# of the build arguments: whoever has it can try out short ones.
_SECRET = ("environment.", "run.env.", "build.args.", "args")
_LEFT_OUT = ("run.env.", "base", "source", "port")


def flat(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's snapshot as `section.key: value`. Secret values are still in it: see `shown`."""
    found: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif not prefix.startswith(_LEFT_OUT) and value not in (None, []):
            found[prefix] = value

    walk("", snapshot)
    return found


def shown(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The same, for eyes: of variables and build arguments only the names."""
    return {key: HIDDEN if key.startswith(_SECRET) else value for key, value in sorted(flat(snapshot).items())}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which settings differ: `key`, `before` and `after`; None where there is none, hidden where it may be secret."""
    old, new = flat(before), flat(after)
    told_old, told_new = shown(before), shown(after)
    return [
        {"key": key, "before": told_old.get(key), "after": told_new.get(key)}
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
