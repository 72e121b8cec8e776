"""The output of `history` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.render.text import cell, when
from orchestrator.reports.history import DeploymentSummary, HistoryReport

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = ("id", "when", "kind", "from", "to", "outcome", "duration", "actor", "reason")
_COLOURS = {"succeeded": "green", "failed": "red", "undone": "yellow"}


def history(report: HistoryReport) -> Table:
    """A table, newest first."""
    from rich.table import Table

    table = Table(*_TITLES, box=None, pad_edge=False)
    for row in report.deployments:
        outcome = row.outcome or progress(row)
        table.add_row(
            cell(row.id),
            cell(when(row.started_at)),
            cell(row.kind),
            cell(row.from_ or "-"),
            cell(row.to),
            cell(outcome, _COLOURS.get(outcome, "")),
            cell(_duration(row)),
            cell(row.actor),
            cell("; ".join(filter(None, (f"image {row.from_image}" if row.from_image else "", row.reason)))),
        )
    return table


def progress(row: DeploymentSummary) -> str:
    """How far a deployment without an outcome is."""
    return "interrupted" if row.interrupted else "in progress"


def _duration(row: DeploymentSummary) -> str:
    return "-" if row.finished_at is None else f"{row.seconds:.1f} s"
