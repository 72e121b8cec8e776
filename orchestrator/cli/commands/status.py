"""`deployctl status`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import status as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.status import status as look

app = new_app()
_CLEAR_SCREEN = "\033[H\033[2J"


@app.command()
def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Update the output every second, until Ctrl-C.")] = False,
) -> None:
    """Show what is live and how a rollback would go.

    Examples: deployctl status; deployctl status --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli)
        while True:
            report = look(own, config.app.name, config.proxy.listen)
            if watch and sys.stdout.isatty() and not cli.json:
                console.raw(_CLEAR_SCREEN)
            if cli.json:
                console.report(report)
            else:
                console.lines(render.status(report))
            console.flush()
            if not watch or console.lost:
                return
            time.sleep(1)
