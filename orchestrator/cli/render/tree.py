"""The output of `tree` for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.cli.render.text import commit, when
from orchestrator.config.explain import printable
from orchestrator.reports.versions import TreeReport, TreeVersion
from orchestrator.text import counted

if TYPE_CHECKING:
    from rich.text import Text

# The prefix of the first version of a branch, and of the others; _LAST is for the last branch.
_BRANCH = ("├─ ", "│  ")
_LAST = ("└─ ", "   ")
_MARKS = {
    "live": "bold green",
    "stable": "",
    "pruned": "dim",
    "never live": "yellow",
    "not stable": "yellow",
    "rolled back": "yellow",
    "bad": "red",
}


def tree(report: TreeReport) -> Text:
    """The lineage, each version with its mark. An only child is below its parent; only branches are indented.

    Of several children, the one that leads to the live version continues the line, otherwise the one with the most
    descendants. So the live version is never indented, and the others are indented by a few levels at most.
    """
    from rich.text import Text

    lines = [Text(printable(report.app) + ("" if report.versions else ": no versions yet"))]
    for number, root in enumerate(report.versions, 1):
        last = number == len(report.versions) and not report.older
        for lead, version in _drawn(root, *(_LAST if last else _BRANCH)):
            lines.append(Text(lead).append(_label(version), style=_MARKS[version.mark]))
    if report.older:
        lines.append(Text(_LAST[0]).append(f"and {counted(report.older, 'older version')}", style="dim"))
    return Text("\n").join(lines)


def _drawn(version: TreeVersion, first: str, rest: str) -> Iterator[tuple[str, TreeVersion]]:
    """`version` and its descendants, oldest first, each with the prefix of its line."""
    lead = first
    while True:
        yield lead, version
        if not version.children:
            return
        *_, continuation = sorted(version.children, key=_weight)
        for child in version.children:
            if child is not continuation:
                yield from _drawn(child, rest + _BRANCH[0], rest + _BRANCH[1])
        lead, version = rest, continuation


def _weight(version: TreeVersion) -> tuple[bool, int]:
    """Whether `version` or a descendant is live, and how many they are together."""
    live, count, todo = False, 0, [version]
    while todo:
        each = todo.pop()
        live, count = live or each.mark == "live", count + 1
        todo += each.children
    return live, count


def _label(version: TreeVersion) -> str:
    changed, removed = version.delta.changed, version.delta.removed
    delta = f"  +{changed} -{removed}" if changed or removed else ""
    built_from = commit(version.git_commit, version.git_dirty)
    if version.from_image:
        built_from = f"from {printable(version.from_image.partition('@')[0])}"
    who = printable(version.author) + (f" {built_from}" if built_from else "")
    return f"{printable(version.version)} {version.mark}  {when(version.created_at)} by {who}{delta}"
