"""`deployctl logs`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.logs import find_logs, read
from orchestrator.reports.logs import logs as collect

app = new_app()


@app.command()
def logs(
    ctx: typer.Context,
    version: Annotated[
        str | None,
        typer.Argument(help="Version, such as v2; default: the live one.", autocompletion=candidates.versions),
    ] = None,
    tail: Annotated[int, typer.Option("--tail", min=0, help="Number of lines to print from the end.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Keep printing new lines.")] = False,
) -> None:
    """Print the logs of a version's containers.

    The last lines of a failed version are kept after its containers are removed.

    Examples: deployctl logs; deployctl logs v3; deployctl logs --follow
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli)
        source = find_logs(own, config.app.name, version)
        if cli.json and not follow:
            console.report(collect(own, source, tail=tail))
            return
        if not source.containers:
            console.raw(source.kept)
            return
        if follow and len(source.containers) > 1:
            first = source.containers[0]
            console.note(f"following {first.name}, the first of {len(source.containers)}")
            source = replace(source, containers=(first,))
        for container, line in read(own, source, tail=tail, follow=follow):
            console.raw(f"{container.name} | {line}" if len(source.containers) > 1 else line)
            console.flush()
            if console.lost:
                return
