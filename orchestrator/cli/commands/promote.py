"""`deployctl promote`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.deployed import bake_report, moved
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.promote import promote as run_promote
from orchestrator.watch.notices import notify_deployed
from orchestrator.watch.waiting import watch_bake

app = new_app()


@app.command()
def promote(
    ctx: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Give the candidate all requests at once.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Promote it although the judge finds it bad.")] = False,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="When the version becomes live, do not wait for its bake: the watchdog ends it."),
    ] = False,
) -> None:
    """Give the candidate its next share, or all requests.

    The next share is that of the next stage. After the last one, or with --full, it gets all requests and is live. A
    version that was released with --preview gets the share of its first stage, or all requests if the strategy has no
    stages.

    Examples: deployctl promote; deployctl promote --full
    """
    cli = current(ctx)
    with cli.guarded():
        config = load(cli.file)
        own = services(cli, changing=True)
        result = run_promote(own, config, full=full, force=force)
        released = result.config or config
        bake, live = None, own.ledger.open_rollout(config.app.name) is None
        if live:
            bake = watch_bake(own, released, lambda progress: cli.console.update(str(progress)), detach=detach)
        moved(cli, own, config.app.name, result, bake_report(bake))
        if live:
            notify_deployed(own, released, result)
