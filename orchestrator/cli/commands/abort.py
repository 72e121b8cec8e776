"""`deployctl abort`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.deployed import moved
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.abort import abort as run_abort
from orchestrator.watch.notices import notify_deployed

app = new_app()


@app.command()
def abort(
    ctx: typer.Context,
    why: Annotated[str, typer.Option("--why", help="The reason, for the history.")] = "",
) -> None:
    """Send all requests back, and stop the candidate.

    The live version answers all requests again. The candidate is kept: it can be released again.

    Examples: deployctl abort; deployctl abort --why "wrong labels"
    """
    cli = current(ctx)
    with cli.guarded():
        config = load(cli.file)
        own = services(cli, changing=True)
        result = run_abort(own, config, why)
        moved(cli, own, config.app.name, result)
        notify_deployed(own, config, result)
