"""`init` and `config`: the file that everything begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.frame import frame
from orchestrator.errors import UsageError


def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a commented deploy.toml.

    Example: deployctl init && $EDITOR deploy.toml && deployctl config check
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.config import example
        from orchestrator.files import write_atomic

        target: Path = own.file
        if target.exists() and not force:
            raise UsageError(f"{target} is there already", hint="edit it, or overwrite it with --force")
        try:
            write_atomic(target, example())
        except OSError as error:
            raise UsageError(f"{target} cannot be written", why=str(error.strerror)) from error
        console.done(f"{target} written; edit it, then: deployctl config check")
        if own.json:
            console.data({"schema_version": 1, "file": str(target)})


def check(context: typer.Context) -> None:
    """Check deploy.toml: every problem at once, with its path.

    Example: deployctl config check --json
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.config.secrets import wrong_secrets
        from orchestrator.errors import ConfigError

        config = own.config()
        wrong, unset = wrong_secrets(config)
        if wrong:
            # Only here: what is live needs no file to be looked at, brought back or watched.
            raise ConfigError(config.source, wrong)
        # A variable belongs to whoever releases: where a file is only checked, it may be missing.
        notes = [str(found) for found in unset]
        if own.json:
            body = {"file": str(own.file), "app": config.app.name, "findings": [], "notes": notes}
            console.data({"schema_version": 1, **body})
        else:
            console.print(f"{own.file}: good (app {config.app.name})")
            for note in notes:
                console.note(note)


def schema(context: typer.Context) -> None:
    """Print the JSON Schema of deploy.toml, for editors.

    Example: deployctl config schema > deploy.schema.json
    """
    with frame(context).guarded() as console:
        from orchestrator.config import json_schema

        console.data(json_schema())


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    app.command()(init)
    group = typer.Typer(help="Check deploy.toml, print its schema.", no_args_is_help=True, rich_markup_mode=None)
    group.command()(check)
    group.command()(schema)
    app.add_typer(group, name="config")
