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
    """Check everything that a deployment needs.

    Prints what is wrong and how to fix it, and exits with 4 when something is wrong.

    Example: deployctl doctor
    """
    cli = current(ctx)
    with cli.guarded() as console:
        checks = look(services(cli), load(cli.file))
        wrong = [check for check in checks if not check.ok]
        if cli.json:
            rows = [{"name": check.name, "ok": check.ok, "found": check.found, "next": check.hint} for check in checks]
            console.data({"schema_version": 1, "ok": not wrong, "checks": rows})
        else:
            for check in checks:
                console.print(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.found}")
                if check.hint:
                    console.print(f"     next: {check.hint}")
        if wrong:
            raise typer.Exit(Degraded.exit_code)
