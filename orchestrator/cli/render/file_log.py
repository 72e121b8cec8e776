"""The output of `log` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.render.text import cell, commit, when
from orchestrator.reports.file_log import FileLogReport
from orchestrator.text import counted, size

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = ("version", "when", "change", "size", "digest", "author", "commit")
_SHORT = 12


def file_log(report: FileLogReport) -> Table:
    """A table, newest first."""
    from rich.table import Table

    table = Table(*_TITLES, title=cell(report.file), title_justify="left", box=None, pad_edge=False)
    for entry in report.entries:
        table.add_row(
            cell(entry.version),
            cell(when(entry.at)),
            cell(entry.change),
            cell("-" if entry.size is None else size(entry.size)),
            cell((entry.digest or "-")[:_SHORT]),
            cell(entry.author),
            cell(commit(entry.git_commit, entry.git_dirty) or "-"),
        )
    if report.older:
        table.caption = f"and {counted(report.older, 'older change')}"
    return table
