"""`deployctl show`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import show as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.versions import show as look

app = new_app()


@app.command()
def show(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(help="Version, such as v2.", autocompletion=candidates.versions)],
) -> None:
    """Show all recorded facts about a version.

    Prints its identity, files, image, settings, deployments, and when it was live.

    Examples: deployctl show v2; deployctl show v2 --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = look(services(cli), config.app.name, version)
        console.report(report) if cli.json else console.lines(render.show(report))
