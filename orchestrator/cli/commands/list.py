"""`deployctl list`."""

from __future__ import annotations

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render.apps import apps as rendered
from orchestrator.cli.services import services
from orchestrator.reports.apps import apps

app = new_app()


@app.command()
def list_apps(ctx: typer.Context) -> None:
    """List the apps of the state folder.

    Shows what is live, its address, and the deploy.toml it came from. Needs neither a deploy.toml nor the engine.

    Example: deployctl list --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        report = apps(services(cli))
        if cli.json:
            console.report(report)
        else:
            console.lines(rendered(report))
