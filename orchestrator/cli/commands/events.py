"""`deployctl events`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import events as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.domain.moments import iso, moment
from orchestrator.reports.events import KINDS, Filters
from orchestrator.reports.events import events as look

app = new_app()


@app.command()
def events(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Maximum number of events.")] = 20,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", help="Only events of this kind, such as healed; repeatable.", autocompletion=lambda: list(KINDS)
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Only events of this actor: a user's name, watchdog or engine.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Only events since this time (UTC).")] = None,
    version: Annotated[
        str | None, typer.Option("--of", help="Only events of this version.", autocompletion=candidates.versions)
    ] = None,
) -> None:
    """List events: deployments, repairs and notifications.

    Prints deployments, repairs, containers that exited, problems and their ends, and notifications, newest first.

    Examples: deployctl events --by watchdog; deployctl events --kind ended --kind healed --since 2026-11-20
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli)
        start = iso(moment(since, own.wall())) if since else None
        report = look(own, config.app.name, limit, Filters(tuple(kind or ()), by, start, version))
        console.report(report) if cli.json else console.rich(render.events(report))
