"""`deployctl prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.prune import prune as run_prune
from orchestrator.reports.prune import PruneReport

app = new_app()


@app.command()
def prune(
    ctx: typer.Context,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Number of versions to keep; overrides retention.versions.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
) -> None:
    """Remove versions beyond the retention limit.

    Removes images and containers. The live version and the rollback target are always kept.

    Example: deployctl prune --keep 2 --dry-run
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli, changing=not dry_run)
        done = run_prune(own, config.app.name, keep or config.retention.versions, dry_run=dry_run)
        report = PruneReport(
            app=config.app.name,
            dry_run=dry_run,
            versions=tuple(done.versions),
            containers=tuple(done.containers),
            images=tuple(done.images),
            freed_bytes=done.freed,
        )
        if cli.json:
            console.report(report)
        else:
            names = [*report.containers, *report.images]
            verb = "would be removed" if dry_run else "removed"
            console.print(f"{verb}: {', '.join(names)}" if names else "nothing to remove")
