"""`deployctl init`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.config import example, example_for
from orchestrator.domain.health.presets import PRESETS
from orchestrator.errors import UsageError
from orchestrator.files import write_atomic
from orchestrator.reports.config import InitReport

app = new_app()


@app.command()
def init(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="Model server to probe, such as vllm.", autocompletion=lambda: list(PRESETS)),
    ] = None,
) -> None:
    """Write a commented deploy.toml.

    With --preset, the file has the health preset of a model server and its port.

    Examples: deployctl init && $EDITOR deploy.toml && deployctl config check; deployctl init --preset vllm
    """
    cli = current(ctx)
    with cli.guarded() as console:
        text = example() if preset is None else example_for(preset)
        if cli.file.exists() and not force:
            raise UsageError(f"{cli.file} already exists", hint="edit it, or overwrite it with --force")
        try:
            write_atomic(cli.file, text)
        except OSError as error:
            raise UsageError(f"{cli.file} cannot be written", why=str(error.strerror)) from error
        console.done(f"{cli.file} written; edit it, then run: deployctl config check")
        if cli.json:
            console.report(InitReport(str(cli.file)))
