"""`deployctl logs`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.logs import find_logs

app = new_app()


@app.command()
def logs(
    ctx: typer.Context,
    version: Annotated[
        str | None, typer.Argument(help="v1, v2 …; without it the live one", autocompletion=candidates.versions)
    ] = None,
    tail: Annotated[int, typer.Option("--tail", min=0, help="How many lines, from the newest.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Print new lines as they come.")] = False,
) -> None:
    """Print the logs of a version's containers.

    The last lines of a version that failed are kept after its containers are removed.

    Examples: deployctl logs; deployctl logs v3; deployctl logs --follow
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli)
        found = find_logs(own, config.app.name, version)
        if found.kept is not None:
            if cli.json:
                body = {"version": found.version, "kept": True, "lines": found.kept.splitlines()}
                console.data({"schema_version": 1, **body})
            else:
                console.raw(found.kept)
            return
        containers = found.containers
        if follow and len(containers) > 1:
            console.note(f"following {containers[0].name}, the first of {len(containers)}")
            containers = containers[:1]
        collected: dict[str, list[str]] = {}
        for container in containers:
            for line in own.engine.logs(container, tail=tail, follow=follow):
                if cli.json and not follow:
                    collected.setdefault(container.name, []).append(line)
                else:
                    console.raw(f"{container.name} | {line}" if len(containers) > 1 else line)
                    sys.stdout.flush()
        if cli.json and not follow:
            console.data({"schema_version": 1, "version": found.version, "kept": False, "logs": collected})
