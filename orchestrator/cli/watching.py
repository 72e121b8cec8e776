"""`watchdog`: what goes on when nobody types a command."""

from __future__ import annotations

import typer

from orchestrator.cli.passes import run


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    group = typer.Typer(help="Heals, finishes and rolls back by itself.", no_args_is_help=True, rich_markup_mode=None)
    group.command()(run)
    app.add_typer(group, name="watchdog")
