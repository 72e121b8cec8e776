"""`deployctl config`: check deploy.toml, or print its schema."""

from __future__ import annotations

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.config import json_schema, load
from orchestrator.config.secrets import wrong_secrets
from orchestrator.errors import ConfigError

app = new_app("Check deploy.toml, or print its JSON Schema.")


@app.command()
def check(ctx: typer.Context) -> None:
    """Check deploy.toml and report every problem at once.

    Example: deployctl config check --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        wrong, unset = wrong_secrets(config)
        if wrong:
            # Checked only here: a live version is shown, rolled back and watched without the files of its secrets.
            raise ConfigError(config.source, wrong)
        # A variable is set by the user who releases: where a file is only checked, it may be missing.
        notes = [str(finding) for finding in unset]
        if cli.json:
            body = {"file": str(cli.file), "app": config.app.name, "findings": [], "notes": notes}
            console.data({"schema_version": 1, **body})
        else:
            console.print(f"{cli.file}: valid (app {config.app.name})")
            for note in notes:
                console.note(note)


@app.command()
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of deploy.toml, for editors.

    Example: deployctl config schema > deploy.schema.json
    """
    with current(ctx).guarded() as console:
        console.data(json_schema())
