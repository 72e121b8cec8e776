"""`deployctl completion`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.completion_scripts import SCRIPTS
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.errors import UsageError

app = new_app()


def _shells() -> list[str]:
    return list(SCRIPTS)


@app.command()
def completion(
    ctx: typer.Context,
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish", autocompletion=_shells)],
) -> None:
    """Print a completion script for bash, zsh or fish.

    Completes commands, options, versions and paths. The first line of the script explains how to install it.

    Example: source <(deployctl completion bash)
    """
    with current(ctx).guarded() as console:
        if shell not in SCRIPTS:
            raise UsageError(f"no completion script for {shell!r}", hint=f"choose one of: {', '.join(SCRIPTS)}")
        console.raw(SCRIPTS[shell].removesuffix("\n"))
