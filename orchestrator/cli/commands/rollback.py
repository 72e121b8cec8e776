"""`deployctl rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.deployed import report
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.rollback import rollback as run_rollback
from orchestrator.watch.notices import notify_deployed

app = new_app()


@app.command()
def rollback(
    ctx: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="Version to roll back to; default: the last stable one.",
            autocompletion=candidates.rollback_targets,
        ),
    ] = None,
) -> None:
    """Make the previous stable version live again.

    The current version is stopped and kept.

    Examples: deployctl rollback; deployctl rollback --to v1
    """
    cli = current(ctx)
    with cli.guarded():
        config = load(cli.file)
        own = services(cli, changing=True)
        result = run_rollback(own, config, to)
        report(cli, config.app.name, result)
        # After the lock is released and the result is printed: notifications may be slow.
        notify_deployed(own, config, result)
