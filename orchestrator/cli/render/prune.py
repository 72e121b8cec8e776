"""The output of `prune` for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.text import joined
from orchestrator.domain.version.build import leftover_words
from orchestrator.reports.prune import PruneReport
from orchestrator.text import size


def prune(report: PruneReport) -> str:
    """What was removed, or would be."""
    return joined(_lines(report))


def _lines(report: PruneReport) -> Iterator[str]:
    names = [*report.containers, *report.images]
    verb = "would be removed" if report.dry_run else "removed"
    yield f"{verb}: {', '.join(names)}" if names else "nothing to remove"
    if report.leftovers is None:
        return
    if not report.leftovers:
        yield "no dangling images, build cache or volumes to remove"
        return
    for row in report.leftovers:
        yield f"{verb}: {leftover_words(row.kind, row.id)}, {size(row.bytes)}"
    if report.leftovers_freed_bytes is not None:
        yield f"{size(report.leftovers_freed_bytes)} freed on the engine"
