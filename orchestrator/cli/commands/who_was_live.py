"""`deployctl who-was-live`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import who_was_live as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.domain.moments import moment
from orchestrator.errors import UsageError
from orchestrator.reports.who_was_live import who_was_live as look

app = new_app()


@app.command("who-was-live")
def who_was_live(
    ctx: typer.Context,
    at: Annotated[
        str | None, typer.Option("--at", help="Time in UTC, or with an offset such as +01:00; default: now.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="Start of a period, instead of --at.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End of the period; default: now.")] = None,
) -> None:
    """Show which version was live at a time, and who released it.

    Examples: deployctl who-was-live --at "2026-11-20 14:05"; deployctl who-was-live --from 2026-11-20 --to 2026-11-21
    """
    cli = current(ctx)
    with cli.guarded() as console:
        if at is not None and (start is not None or end is not None):
            raise UsageError("--at cannot be combined with --from or --to", hint="use --at for one moment")
        if end is not None and start is None:
            raise UsageError("--to needs --from", hint="add --from, or ask about one moment with --at")
        config = load(cli.file)
        own = services(cli)
        now = own.wall()
        beginning = at or start
        first = moment(beginning, now) if beginning else now
        last = first if start is None else moment(end, now, latest=True) if end else now
        if last < first:
            raise UsageError("--to is before --from", hint="swap --from and --to")
        report = look(own, config.app.name, first, last)
        console.report(report) if cli.json else console.lines(render.who_was_live(report))
