"""The output of `list` for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.text import joined, when
from orchestrator.config.explain import printable
from orchestrator.reports.apps import AppRow, AppsReport
from orchestrator.text import counted


def apps(report: AppsReport) -> str:
    """A line for each app."""
    if not report.apps:
        return f"no app in {printable(report.state_dir)}"
    width = max(len(row.app) for row in report.apps)
    return joined(f"{row.app:{width}}  {'  '.join(_facts(row))}" for row in report.apps)


def _facts(row: AppRow) -> Iterator[str]:
    yield f"{row.live} since {when(row.since or '')}" if row.live else "not live"
    if row.listen:
        names = ", ".join(row.hosts)
        yield f"at {row.listen}{row.path_prefix}{f' ({printable(names)})' if names else ''}"
    yield counted(row.versions, "version")
    if row.deploying:
        yield "a deployment is open"
    if row.removing:
        yield "it is being removed"
    if row.file:
        yield printable(row.file)
