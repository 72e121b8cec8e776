"""`deployctl metrics`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.reports.metrics import collect
from orchestrator.reports.prometheus import text

app = new_app()


@app.command()
def metrics(
    ctx: typer.Context,
    app: Annotated[
        str | None, typer.Option("--app", help="Print only the metrics of this app.", autocompletion=candidates.apps)
    ] = None,
) -> None:
    """Print metrics of all apps in Prometheus format.

    Does not need a deploy.toml.

    Example: deployctl metrics
    """
    cli = current(ctx)
    with cli.guarded() as console:
        own = services(cli)
        report, problems = collect(own, own.ledger.apps() if app is None else [app])
        for problem in problems:
            console.note(f"some metrics are missing: {problem}")
        if cli.json:
            console.report(report)
        else:
            console.raw(text(report.metrics).removesuffix("\n"))
