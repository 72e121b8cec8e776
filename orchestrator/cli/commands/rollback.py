"""`deployctl rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import Context, current
from orchestrator.cli.deployed import report
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import Config, load
from orchestrator.release.rollback import rollback as run_rollback
from orchestrator.reports.drill import DrillReport

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
    drill: Annotated[
        bool, typer.Option("--drill", help="Prove that a rollback would work; clients see no change.")
    ] = False,
) -> None:
    """Make the previous stable version live again.

    The current version is stopped and kept. While there is a candidate, it is aborted instead. With --drill the live
    version keeps all requests: the other one is started beside it, registered with the proxy, probed, measured, and
    stopped again.

    Examples: deployctl rollback; deployctl rollback --to v1; deployctl rollback --drill
    """
    cli = current(ctx)
    with cli.guarded():
        config = load(cli.file)
        if drill:
            _drill(cli, config, to)
            return
        own = services(cli, changing=True)
        result = run_rollback(own, config, to)
        report(cli, config.app.name, result)
        # After the lock is released and the result is printed: notifications may be slow. So is loading them.
        from orchestrator.watch.notices import notify_deployed

        notify_deployed(own, config, result)


def _drill(cli: Context, config: Config, to: str | None) -> None:
    # Not loaded for a rollback, which is urgent.
    from orchestrator.release.drill import drill as run_drill

    drill = run_drill(services(cli, changing=True), config, to)
    drilled = DrillReport(
        app=config.app.name,
        outcome="succeeded",
        version=drill.version,
        live=drill.live,
        slot=drill.back.slot,
        mode=drill.back.mode,
        seconds=drill.seconds,
        preview=drill.preview,
        left="warm" if drill.back.mode == "switch" else "stopped",
        deployment=drill.deployment.id,
        notes=drill.notes,
    )
    if cli.json:
        cli.console.report(drilled)
        return
    how = "its containers still run" if drilled.mode == "switch" else f"by a {drilled.mode}"
    cli.console.done(
        f"a rollback of {drilled.app} from {drilled.live} to {drilled.version} works ({how}):"
        f" ready after {drilled.seconds:.1f} s; the switch itself takes about 5 ms"
    )
