"""`deployctl remove`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import Context, current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import remove as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import Interrupted, UsageError
from orchestrator.ports.services import Services
from orchestrator.release.removal import Belongings, belongings
from orchestrator.release.removal import remove as run_remove
from orchestrator.reports.remove import RemoveReport
from orchestrator.reports.watchdog import SchedulePlace

app = new_app()


@app.command()
def remove(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="App; default: that of deploy.toml.", autocompletion=candidates.apps)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Do not ask for a confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
) -> None:
    """Remove an app and everything that belongs to it.

    The app stops serving first. Then its containers, images, model files, secrets, records and the schedule of its
    watchdog are removed; deploy.toml, volumes and images in a registry stay. No request of another app fails. If the
    removal is interrupted, the next command for the app finishes it. On a terminal, deployctl asks you to type the
    app's name.

    Examples: deployctl remove mymodel; deployctl remove mymodel --force --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        chosen = name if name is not None else _of_file(cli)
        own = services(cli, changing=not dry_run)
        found = _report(belongings(own, chosen), dry_run=True)
        if dry_run:
            console.report(found) if cli.json else console.lines(render.belongings(found))
            return
        if not force:
            _confirm(cli, own, found)
        report = _report(run_remove(own, chosen), dry_run=False)
        for text in report.left:
            console.note(f"not removed: {text}")
        if cli.json:
            console.report(report)
        else:
            console.done(
                f"{chosen} is removed" + (", and the proxy: it had no other app" if report.proxy_removed else "")
            )


def _of_file(cli: Context) -> str:
    try:
        return load(cli.file).app.name
    except UsageError as error:
        error.hint = "pass the app's name: deployctl remove NAME; 'deployctl list' shows all apps"
        raise


def _confirm(cli: Context, own: Services, found: RemoveReport) -> None:
    """Asks for the name of the app.

    Raises:
        UsageError: there is no terminal, or another text was typed.
    """
    what = render.belongings(found)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{found.app} was not removed",
            why="a removal must be confirmed, and there is no terminal",
            hint=f"deployctl remove {found.app} --force removes what is listed above",
            details=what,
        )
    cli.console.say(what)
    try:
        with own.interrupts.interruptible():
            typed = cli.console.ask(f"Type {found.app} to remove it: ")
    except Interrupted:
        raise own.interrupts.error("nothing was removed") from None
    if typed != found.app:
        raise UsageError(f"{found.app} was not removed", why="the name that was typed does not match")


def _report(found: Belongings, *, dry_run: bool) -> RemoveReport:
    return RemoveReport(
        app=found.app,
        dry_run=dry_run,
        live=found.live,
        listen=found.listen,
        versions=tuple(found.versions),
        containers=tuple(found.containers),
        images=tuple(found.images),
        schedules=tuple(SchedulePlace(entry.kind, entry.place) for entry in found.schedules),
        cut=found.cut,
        freed_bytes=found.freed,
        proxy_removed=found.proxy_removed,
        left=tuple(found.left),
    )
