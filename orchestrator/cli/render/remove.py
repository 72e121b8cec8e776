"""What a removal removes, for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.text import joined
from orchestrator.config.explain import printable
from orchestrator.reports.remove import RemoveReport


def belongings(report: RemoveReport) -> str:
    """A line for each kind of thing that belongs to the app, and what stays."""
    return joined(f"{name:11}{printable(text)}" for name, text in _rows(report))


def _rows(report: RemoveReport) -> Iterator[tuple[str, str]]:
    yield "app", report.app
    if report.live:
        yield "live", f"{report.live}" + (f" at {report.listen}" if report.listen else "")
    lists = {"versions": report.versions, "containers": report.containers, "images": report.images}
    for name, values in lists.items():
        if values:
            yield name, ", ".join(values)
    for schedule in report.schedules:
        yield "schedule", schedule.place
    for text in report.left:
        yield "stays", text
