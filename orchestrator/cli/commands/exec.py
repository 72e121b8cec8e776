"""`deployctl exec`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.release.serving import serving_container

app = new_app()


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(help="The program and its arguments.")],
) -> None:
    """Run a program in a container of the live version.

    The exit code is that of the program.

    Examples: deployctl exec bash; deployctl exec -- nvidia-smi -L
    """
    cli = current(ctx)
    with cli.guarded():
        config = load(cli.file)
        own = services(cli)
        container = serving_container(own, config.app.name)
        # A shell needs a terminal, which the docker CLI provides if it is installed.
        if sys.stdin.isatty() and sys.stdout.isatty() and shutil.which("docker"):
            os.execvp("docker", ["docker", "exec", "-it", container.id, *command])
        try:
            code = own.access.execute(container, command, sys.stdout.buffer, sys.stderr.buffer)
        except BrokenPipeError:  # nobody reads its output any more: end as a program does that does not handle that
            code = 128 + signal.SIGPIPE
        raise typer.Exit(code)
