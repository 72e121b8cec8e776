"""`deployctl history`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import history as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.history import history as look

app = new_app()


@app.command()
def history(
    ctx: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of deployments, and of rollouts.")
    ] = 20,
) -> None:
    """List deployments and rollouts, newest first.

    Prints the versions, time, outcome, actor and reason of each. Rollouts have ids such as r1.

    Example: deployctl history -n 5
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = look(services(cli), config.app.name, limit)
        console.report(report) if cli.json else console.rich(render.history(report))
