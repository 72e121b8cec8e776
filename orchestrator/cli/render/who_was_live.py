"""The output of `who-was-live` for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.text import commit, joined, when
from orchestrator.config.explain import printable
from orchestrator.reports.who_was_live import LiveRecord, WhoWasLiveReport


def who_was_live(report: WhoWasLiveReport) -> str:
    """A line for each version that was live, followed by who made it live and its manifest."""
    if not report.live:
        same = report.from_ == report.to
        span = f"at {when(report.to)}" if same else f"from {when(report.from_)} to {when(report.to)}"
        return joined([f"{report.app}: no version was live {span}, according to the ledger"])
    return joined(line for record in report.live for line in _lines(record))


def _lines(record: LiveRecord) -> Iterator[str]:
    until = when(record.until) if record.until else "now"
    yield f"{record.version}  live from {when(record.since)} to {until}, in {record.slot}"
    why = f": {printable(record.reason)}" if record.reason else ""
    yield f"    deployment {record.deployment}: {record.kind} by {printable(record.actor)}{why}"
    built_from = commit(record.git_commit, record.git_dirty)
    where = f" {built_from}" if built_from else ""
    made = f", made from the image {printable(record.from_image)} by" if record.from_image else ", built by"
    yield f"    manifest {record.manifest}{where}{made} {printable(record.author)}"
