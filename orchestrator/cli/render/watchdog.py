"""The output of `watchdog status` for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.text import joined, when
from orchestrator.domain.watch.schedule import write_every
from orchestrator.reports.watchdog import WatchdogReport

_SHOWN_PASSES = 5


def watchdog(report: WatchdogReport) -> str:
    """A few aligned lines, with the newest five passes."""
    return joined(f"{name:11}{text}" for name, text in _rows(report))


def _rows(report: WatchdogReport) -> Iterator[tuple[str, str]]:
    for schedule in report.schedules:
        step = "at other times" if schedule.every is None else f"every {write_every(schedule.every)}"
        whose = "" if schedule.ours else f" (for another state folder or file: {schedule.file or 'unknown'})"
        yield "schedule", f"{step}, by {schedule.place}{whose}"
    if not any(schedule.ours for schedule in report.schedules):
        yield "schedule", "none: deployctl watchdog install"
    if report.next:
        yield "next", when(report.next)
    for each in report.passes[:_SHOWN_PASSES]:
        messages = f": {'; '.join(each.messages)}" if each.messages else ""
        yield "pass", f"{when(each.at)} {each.outcome}, {each.seconds:.1f} s{messages}"
    if not report.passes:
        yield "pass", "none yet"
    counted = ", ".join(f"{name.removeprefix('pass:')} {count}" for name, count in report.counts.items() if count)
    yield "counts", counted or "none yet"
    for problem in report.problems:
        yield "problem", problem
