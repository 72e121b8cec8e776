"""The problems in deploy.toml, as findings for users.

`explain` converts the errors of pydantic. A finding names the key, the problem and the fix, and never pydantic.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrator.errors import Finding
from orchestrator.text import plain

Loc = tuple[int | str, ...]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
# The values of these keys are never shown: they may be passwords.
_SECRET = (
    *(("run", "env"), ("run", "secrets"), ("run", "secret_env"), ("run", "log_options")),
    *(("build", "args"), ("build", "secrets")),
    *(("notify", "urls"), ("watchdog", "heartbeat")),
)
# What to write instead of a value that is of another kind, or beyond its limits.
_EXAMPLES = {
    "proxy.listen": 'write "127.0.0.1:8000"',
    "judge.max_error_rate": "a share, not a percentage: 5 % is 0.05",
    "judge.alpha": "a share, not a percentage: 1 % is 0.01",
}
_LIMITS = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}
_MISSING = {
    "app.name": 'write name = "mymodel" under [app]',
    "model.path": 'write path = "model" under [model], or remove the section',
}


class Invalid(ValueError):
    """An invalid value: what is wrong with it, and how to write it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def describe(value: object, *, secret: bool = False) -> str:
    """A short description of `value` for a message, safe to print on a terminal."""
    if isinstance(value, bool):
        return "true or false" if secret else str(value).lower()
    if isinstance(value, int | float):
        if secret:
            return "a number"
        # Python refuses to print whole numbers of more than 4300 digits.
        small = not isinstance(value, int) or value.bit_length() <= 64
        return f"the number {value}" if small else "a very large number"
    if isinstance(value, str):
        return "text" if secret else f"text {shorten(value)!r}"
    if isinstance(value, list | tuple):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or time"


def shorten(text: str) -> str:
    """The first 60 characters of `text`."""
    return text if len(text) <= 60 else text[:59] + "…"


def printable(text: object) -> str:
    """A value for a message: the user's own characters, at most 400, without terminal control characters."""
    return plain(str(text) if len(str(text)) <= 400 else str(text)[:399] + "…")


def show(loc: Loc) -> str:
    """A location in the file: `run.volumes[0]`."""
    path = ""
    for depth, part in enumerate(loc):
        if isinstance(part, int):
            path += f"[{part}]"
        # Below section, key and name, "[key]" is pydantic's mark for the name itself; above, it is a name in the file.
        elif part != "[key]" or depth < 3:
            bare = re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part)
            path += ("." if path else "") + (part if bare else json.dumps(shorten(part)))
    return path


def explain(error: ValidationError, keys: Mapping[str, Sequence[str]]) -> list[tuple[Loc, Finding]]:
    """The errors of pydantic as findings, each with its location; `keys` are the sections and their keys."""
    return [(item["loc"], _finding(item, keys)) for item in error.errors(include_url=False)]


def _secret(loc: Loc) -> bool:
    """Whether the value at `loc` is a secret, or is in the place of a table that contains one."""
    return any(path[: len(loc)] == loc[:2] for path in _SECRET)


def _finding(item: ErrorDetails, keys: Mapping[str, Sequence[str]]) -> Finding:
    loc, kind, value, details = item["loc"], item["type"], item["input"], item.get("ctx", {})
    where = show(loc)
    if kind == "extra_forbidden":
        return Finding(where, "unknown key", _nearest(loc, keys))
    if kind == "missing":
        return Finding(where, "missing", _MISSING.get(where, ""))
    if isinstance(cause := details.get("error"), Invalid):
        return Finding(where, cause.message, cause.hint)
    got = describe(value, secret=_secret(loc))
    if kind in _EXPECTED:
        hint = f"write [{where}] on a line of its own" if kind == "model_type" else _EXAMPLES.get(where, "")
        if kind == "list_type" and isinstance(value, str) and value.isprintable() and len(value) < 80:
            hint = f"write a list: [{json.dumps(value, ensure_ascii=False)}]" if not _secret(loc) else ""
        return Finding(where, f"expected {_EXPECTED[kind]}, got {got}", hint)
    if kind == "literal_error":
        words = re.findall("'([^']*)'", details["expected"])
        lower = {word.lower(): word for word in words}
        near = difflib.get_close_matches(value.lower(), lower, 1) if isinstance(value, str) else []
        hint = f"did you mean '{lower[near[0]]}'?" if near else ""
        return Finding(where, f"must be {details['expected']}, got {got}", hint)
    for limit, comparison in _LIMITS.items():
        if limit in details:
            return Finding(where, f"must be {comparison} {details[limit]}, got {got}", _EXAMPLES.get(where, ""))
    return Finding(where, f"invalid value: {got}")


def _nearest(loc: Loc, keys: Mapping[str, Sequence[str]]) -> str:
    """A hint with the key that was probably meant: the same name in another section, or a similar one in any."""
    section, word = (str(loc[0]) if len(loc) > 1 else ""), str(loc[-1]).lower()
    everywhere: dict[str, list[str]] = {}
    for name, members in keys.items():
        for key in members:
            everywhere.setdefault(key, []).append(f"{name}.{key}")
    here = {key: [f"{section}.{key}"] for key in keys.get(section, ())} if section else {name: [name] for name in keys}
    same = everywhere.get(word, [])
    if same:
        return "did you mean " + " or ".join(f"'{path}'" for path in same) + "?"
    for candidates in (here, everywhere, {name: [name] for name in keys}):
        if near := difflib.get_close_matches(word[:80], candidates, 1, 0.65):
            return f"did you mean '{candidates[near[0]][0]}'?"
    return f"known {'here' if section else 'sections'}: {', '.join(here)}" if here else ""
