"""The output of `events` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.render.text import cell, when
from orchestrator.reports.events import EventsReport

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = ("when", "kind", "by", "version", "what")
_COLOURS = {"degraded": "red", "bad": "red", "ended": "yellow", "healed": "yellow", "recovered": "green"}


def events(report: EventsReport) -> Table:
    """A table, newest first."""
    from rich.table import Table

    table = Table(*_TITLES, box=None, pad_edge=False)
    for row in report.events:
        table.add_row(
            cell(when(row.at)),
            cell(row.kind, _COLOURS.get(row.kind, "")),
            cell(row.by or "-"),
            cell(row.version or "-"),
            cell(row.text),
        )
    return table
