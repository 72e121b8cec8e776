"""`deployctl verify`."""

from __future__ import annotations

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import Degraded
from orchestrator.reports.verify import verify as look

app = new_app()


@app.command()
def verify(ctx: typer.Context) -> None:
    """Compare files, images and containers with the ledger.

    Also checks the events and manifests in the ledger. Prints each difference, and exits with 4 if there is one.

    Example: deployctl verify
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = look(services(cli), config.app.name)
        if cli.json:
            console.report(report)
        else:
            counted = ", ".join(f"{what} {count}" for what, count in report.checked.items())
            console.print(f"checked: {counted}")
            for problem in report.problems:
                console.print(f"BAD  {problem}")
            if report.ok:
                head = f"; the newest event is {report.head.event}, {report.head.digest}" if report.head else ""
                console.print(f"everything matches the ledger{head}")
        if not report.ok:
            raise typer.Exit(Degraded.exit_code)
