"""`deployctl doctor`."""

from __future__ import annotations

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import Degraded
from orchestrator.reports.doctor import doctor as look

app = new_app()


@app.command()
def doctor(ctx: typer.Context) -> None:
    """Check the requirements of a deployment.

    Prints each problem and how to fix it. Exits with 4 when a check fails.

    Example: deployctl doctor
    """
    cli = current(ctx)
    with cli.guarded() as console:
        report = look(services(cli), load(cli.file))
        if cli.json:
            console.report(report)
        else:
            for check in report.checks:
                console.print(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.message}")
                if check.next:
                    console.print(f"     next: {check.next}")
        if not report.ok:
            raise typer.Exit(Degraded.exit_code)
