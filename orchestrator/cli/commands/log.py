"""`deployctl log`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import file_log as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.file_log import file_log

app = new_app()


@app.command()
def log(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(help="Path in the folder, or as 'deployctl show' prints it.", autocompletion=candidates.files),
    ],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Maximum number of changes.")] = 50,
) -> None:
    """List the versions that changed a file.

    Prints the newest first, each with time, change, size, digest, author and commit.

    Examples: deployctl log model/weights.safetensors; deployctl log server.py -n 5
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = file_log(services(cli), config, file, limit)
        console.report(report) if cli.json else console.rich(render.file_log(report))
