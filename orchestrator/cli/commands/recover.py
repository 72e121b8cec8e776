"""`deployctl recover`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import Degraded
from orchestrator.release.rebuild import rebuild_ledger as rebuild
from orchestrator.release.recover import recover as run_recover

app = new_app()


@app.command()
def recover(
    ctx: typer.Context,
    rebuild_ledger: Annotated[
        bool, typer.Option("--rebuild-ledger", help="Rebuild a lost ledger from the containers of all apps.")
    ] = False,
) -> None:
    """Finish or undo an interrupted deployment, and repair drift.

    Every changing command does this first. Running it twice changes nothing more.

    Examples: deployctl recover; deployctl recover --rebuild-ledger
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli, changing=True)
        rebuilt: list[str] = []
        if rebuild_ledger:
            rebuilt = rebuild(own)
            console.note(f"the ledger was rebuilt from the containers of {', '.join(rebuilt)}")
        with own.locks.app(config.app.name):
            recovered = run_recover(own, config.app.name)
        if cli.json:
            console.data(
                {
                    "schema_version": 1,
                    "app": config.app.name,
                    "deployment": recovered.deployment,
                    "direction": recovered.direction,
                    "mended": recovered.mended,
                    "failed": recovered.failed,
                    "rebuilt": rebuilt,
                }
            )
        elif recovered.deployment is not None:
            done = "finished" if recovered.direction == "finish" else "undone"
            console.done(f"deployment {recovered.deployment} {done}")
        elif not recovered.mended and not recovered.failed and not rebuilt:
            console.done("nothing to recover")
        if recovered.failed:
            raise Degraded(
                f"{config.app.name}: some problems remain",
                why="; ".join(recovered.failed),
                hint="deployctl rollback, or release a new version",
            )
