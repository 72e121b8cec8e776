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
from orchestrator.release.recover import recover_app
from orchestrator.reports.recover import RecoverReport

app = new_app()


@app.command()
def recover(
    ctx: typer.Context,
    rebuild_ledger: Annotated[
        bool, typer.Option("--rebuild-ledger", help="Rebuild a lost ledger from the labels of the containers.")
    ] = False,
) -> None:
    """Finish or undo an interrupted deployment, and repair drift.

    Every command that changes something does this first. A second run changes nothing.

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
        recovered = recover_app(own, config.app.name)
        report = RecoverReport(
            app=config.app.name,
            deployment=recovered.deployment,
            direction=recovered.direction,
            repaired=tuple(recovered.repaired),
            failed=tuple(recovered.failed),
            rebuilt=tuple(rebuilt),
        )
        if cli.json:
            console.report(report)
        elif report.deployment is not None:
            done = "finished" if report.direction == "finish" else "undone"
            console.done(f"deployment {report.deployment} {done}")
        elif not report.repaired and not report.failed and not rebuilt:
            console.done("nothing to recover")
        if report.failed and cli.json:
            # The report contains the failures, and stdout has only one document.
            raise typer.Exit(Degraded.exit_code)
        if report.failed:
            raise Degraded(
                f"{report.app}: some problems remain",
                why="; ".join(report.failed),
                hint="deployctl rollback, or release a new version",
            )
