"""`deployctl resume`."""

from __future__ import annotations

import typer

from orchestrator.cli.context import current
from orchestrator.cli.deployed import held
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.promote import resume as run_resume

app = new_app()


@app.command()
def resume(ctx: typer.Context) -> None:
    """Let a held rollout go on.

    Time on hold counts toward the stage's duration.

    Example: deployctl resume
    """
    cli = current(ctx)
    with cli.guarded():
        config = load(cli.file)
        held(cli, run_resume(services(cli, changing=True), config))
