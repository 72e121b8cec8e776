"""`deployctl hold`."""

from __future__ import annotations

import typer

from orchestrator.cli.context import current
from orchestrator.cli.deployed import held
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.promote import hold as run_hold

app = new_app()


@app.command()
def hold(ctx: typer.Context) -> None:
    """Keep the rollout where it is.

    It stays in its stage until 'deployctl resume', and is still aborted when the candidate turns out bad.

    Example: deployctl hold
    """
    cli = current(ctx)
    with cli.guarded():
        config = load(cli.file)
        held(cli, run_hold(services(cli, changing=True), config))
