"""Texts that several outputs share: lines, table cells, times, sizes, commits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator.config.explain import printable
from orchestrator.config.written import written
from orchestrator.text import plain

if TYPE_CHECKING:
    from rich.text import Text


def joined(lines: Iterable[str]) -> str:
    """Joins lines. A line break inside a line comes from a value, and is escaped."""
    return "\n".join(plain(line) for line in lines)


def cell(value: object, style: str = "") -> Text:
    """A table cell. The value is not interpreted as markup."""
    from rich.text import Text

    return Text(printable(value), style=style)


def setting(key: str, value: object) -> str:
    """The value of a setting as deploy.toml writes it, but text without quotes; `nothing` for one that is not set."""
    value = written(key, value)
    if value is None or value == "":
        return "nothing"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def when(text: str) -> str:
    """A time: `2031-05-06 07:08:09 UTC`."""
    return text[:19].replace("T", " ") + " UTC"


def commit(git_commit: str | None, dirty: bool | None) -> str:
    """An abbreviated commit, `2f3a9c1b0d+dirty`; empty without one."""
    return f"{git_commit[:10]}{'+dirty' if dirty else ''}" if git_commit else ""
