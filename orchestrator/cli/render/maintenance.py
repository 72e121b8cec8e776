"""The output of `maintenance` for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.text import joined, when
from orchestrator.domain.durations import written
from orchestrator.reports.maintenance import MaintenanceReport, MaintenanceStatus


def report(shown: MaintenanceReport) -> str:
    """One line, and one for each problem."""
    return joined(_lines(shown))


def _lines(shown: MaintenanceReport) -> Iterator[str]:
    state = f"in maintenance {maintenance(shown.maintenance)}" if shown.maintenance else "not in maintenance"
    yield f"{shown.app}: {state}"
    yield from (f"problem: {problem}" for problem in shown.problems)


def maintenance(status: MaintenanceStatus) -> str:
    """Since when and by whom, and what requests get."""
    return f"since {when(status.since)} by {status.by}: requests {answer(status)}"


def answer(status: MaintenanceStatus) -> str:
    """What requests get, after "requests"."""
    wait = f"wait for at most {written(status.hold)}, then " if status.hold else ""
    return f"{wait}get 503 (Retry-After: {status.retry_after}): {status.message}"
