"""The output of `history` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.render.text import cell, when
from orchestrator.domain.moments import epoch
from orchestrator.reports.history import DeploymentReport, DeploymentSummary, HistoryReport
from orchestrator.reports.rollout import RolloutRecord
from orchestrator.text import counted

if TYPE_CHECKING:
    from rich.table import Table

_TITLES = ("id", "when", "kind", "from", "to", "outcome", "duration", "actor", "reason")
_COLOURS = {"succeeded": "green", "failed": "red", "undone": "yellow", "promoted": "green", "aborted": "red"}


def history(report: HistoryReport) -> Table:
    """A table of deployments and rollouts, newest first. A rollout comes before the deployment that began it."""
    from rich.table import Table

    table = Table(*_TITLES, box=None, pad_edge=False)
    rows = [(each.began_at, 1, _rollout(each)) for each in report.rollouts]
    rows += [(each.started_at, 0, _deployment(each)) for each in report.deployments]
    for _, _, texts in sorted(rows, key=lambda row: row[:2], reverse=True):
        outcome = texts[5]
        table.add_row(*(cell(text, _COLOURS.get(outcome, "") if text is outcome else "") for text in texts))
    return table


def _deployment(row: DeploymentReport) -> tuple[str, ...]:
    notes = [f"image {row.from_image}" if row.from_image else "", row.reason]
    if row.shield is not None:
        notes.append(shielded(row.shield.rescued, row.shield.by, row.shield.lost))
    return (
        str(row.id),
        when(row.started_at),
        row.kind,
        row.from_ or "-",
        row.to,
        row.outcome or progress(row),
        _duration(row),
        row.actor,
        "; ".join(filter(None, notes)),
    )


def _rollout(row: RolloutRecord) -> tuple[str, ...]:
    notes = [row.why, ", ".join(row.stages)]
    if row.shield.rescued or row.shield.lost:
        notes.append(shielded(row.shield.rescued, row.from_, row.shield.lost))
    seconds = epoch(row.ended_at) - epoch(row.began_at) if row.ended_at else None
    return (
        f"r{row.id}",
        when(row.began_at),
        "rollout",
        row.from_,
        row.version,
        row.outcome or "in progress",
        "-" if seconds is None else f"{seconds:.1f} s",
        row.actor,
        "; ".join(filter(None, notes)),
    )


def shielded(rescued: int, by: str, lost: int) -> str:
    """What a shield has done, in words."""
    return f"{counted(rescued, 'failed request')} answered by {by}, {lost:,} returned to clients"


def progress(row: DeploymentSummary) -> str:
    """How far a deployment without an outcome is."""
    return "interrupted" if row.interrupted else "in progress"


def _duration(row: DeploymentSummary) -> str:
    return "-" if row.finished_at is None else f"{row.seconds:.1f} s"
