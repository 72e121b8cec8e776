"""`deployctl prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import prune as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.prune import prune as run_prune
from orchestrator.reports.prune import PruneReport, records

app = new_app()
_CACHE = "Also remove all dangling images and unused build cache on the engine, including those of other programs."


@app.command()
def prune(
    ctx: typer.Context,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Number of versions to keep, at least 1; overrides retention.versions."),
    ] = None,
    cache: Annotated[bool, typer.Option("--cache", help=_CACHE)] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
) -> None:
    """Remove versions beyond the retention limit.

    Removes images and containers. The live version and the rollback target are always kept.

    With --cache also what builds have left on the engine: dangling images and the build cache, and anonymous volumes of
    removed containers of deployctl. Dangling images and build cache are shared by all programs that build on this
    engine, so the next builds take longer.

    Examples: deployctl prune --keep 2 --dry-run; deployctl prune --cache
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli, changing=not dry_run)
        limit = keep or config.retention.versions
        done, left = run_prune(own, config.app.name, limit, dry_run=dry_run, cache=cache)
        report = PruneReport(
            app=config.app.name,
            dry_run=dry_run,
            versions=tuple(done.versions),
            containers=tuple(done.containers),
            images=tuple(done.images),
            freed_bytes=done.freed,
            leftovers=None if left is None else records(left.leftovers),
            leftovers_freed_bytes=None if left is None else left.freed,
        )
        console.report(report) if cli.json else console.lines(render.prune(report))
