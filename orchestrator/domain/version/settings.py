"""Configurations of versions as they are shown and compared: flat, without values that may be secret. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
# Values that may be passwords. `args` is the digest of the build arguments in a manifest: short ones can be guessed
# from it.
_SECRET = ("environment.", "run.env.", "run.log_options.", "build.args.", "args")
# Copies of other settings, and where the file was.
_LEFT_OUT = ("run.env.", "base", "source", "port")


def flat(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration as `section.key: value`. It contains secret values: see `shown`."""
    settings: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif not prefix.startswith(_LEFT_OUT) and value not in (None, []):
            settings[prefix] = value

    walk("", snapshot)
    return settings


def shown(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """The same without secret values: of environment variables and build arguments only the names."""
    return {key: HIDDEN if key.startswith(_SECRET) else value for key, value in sorted(flat(snapshot).items())}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings that differ, each with `key`, `before` and `after`.

    A value is None where the setting does not exist, and hidden where it may be secret.
    """
    old, new = flat(before), flat(after)
    shown_old, shown_new = shown(before), shown(after)
    return [
        {"key": key, "before": shown_old.get(key), "after": shown_new.get(key)}
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
