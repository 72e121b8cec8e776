"""`metrics`: for machines that watch machines."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.frame import frame


def metrics(
    context: typer.Context,
    app: Annotated[str | None, typer.Option("--app", help="Only this app; all of them if not said.")] = None,
) -> None:
    """Print what Prometheus wants to know of all apps. No deploy.toml is needed.

    Example: deployctl metrics
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.reports.metrics import collect
        from orchestrator.reports.prometheus import rows, text

        services = own.services()
        found, problems = collect(services, services.ledger.apps() if app is None else [app])
        for problem in problems:
            console.note(f"some metrics are missing: {problem}")
        if own.json:
            console.data({"schema_version": 1, "metrics": rows(found)})
        else:
            sys.stdout.write(text(found))


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    app.command()(metrics)
