"""`deployctl tree`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import tree as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.versions import lineage

app = new_app()


@app.command()
def tree(
    ctx: typer.Context,
    # A tree of thousands of levels is unreadable.
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="Maximum number of versions.")] = 200,
) -> None:
    """Draw the versions as a tree of parents.

    Prints the mark of each version (live, stable, rolled back, bad) and how many files it changed.

    Examples: deployctl tree; deployctl tree -n 10
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = lineage(services(cli), config.app.name, limit)
        console.report(report) if cli.json else console.rich(render.tree(report))
