"""`deployctl proxy`: manages the proxy of the state folder."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import Context, current
from orchestrator.cli.program import new_app
from orchestrator.cli.render.proxy import status_lines, upgrade_text
from orchestrator.cli.services import services
from orchestrator.ports.services import Services
from orchestrator.release import proxy as use_case
from orchestrator.reports.proxy import ProxyUpgradeReport, proxy_program, proxy_report, proxy_status

app = new_app("Manage the reverse proxy.", example="deployctl proxy status")


@app.command()
def up(ctx: typer.Context) -> None:
    """Start the proxy with the routes of all apps.

    Example: deployctl proxy up
    """
    cli = current(ctx)
    with cli.guarded() as console:
        own = services(cli, changing=True)
        use_case.start(own)
        console.done("the proxy is running")
        _print_state(cli, own)


@app.command()
def status(ctx: typer.Context) -> None:
    """Show the proxy and the route of each app.

    Example: deployctl proxy status --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        own = services(cli)
        report = proxy_status(own)
        if cli.json:
            console.report(report)
            return
        for line in status_lines(report, own.wall()):
            console.print(line)


@app.command()
def reload(ctx: typer.Context) -> None:
    """Reload the configuration, without losing a request.

    Example: deployctl proxy reload
    """
    cli = current(ctx)
    with cli.guarded() as console:
        own = services(cli, changing=True)
        use_case.reload(own)
        console.done("the proxy has reloaded its configuration")
        _print_state(cli, own)


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Rebuild the proxy image, and replace the running proxy.

    No request is lost. The new proxy has the current security fixes. It starts beside the old one and takes over its
    addresses; the old one finishes what is open: requests, streams and WebSockets. If the new one does not start, the
    old one keeps serving.

    Example: deployctl proxy upgrade
    """
    cli = current(ctx)
    with cli.guarded() as console:
        own = services(cli, changing=True)
        started = own.clock()
        done = use_case.upgrade(own)
        report = ProxyUpgradeReport(
            proxy=proxy_report(own).proxy,
            before=proxy_program(done.before),
            after=proxy_program(done.after),
            previous=done.leaving,
            seconds=round(own.clock() - started, 3),
        )
        console.done(upgrade_text(report))
        if cli.json:
            console.report(report)


@app.command()
def down(
    ctx: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Remove it even while it serves apps.")] = False,
) -> None:
    """Remove the proxy; all apps behind it stop answering.

    Example: deployctl proxy down --force
    """
    cli = current(ctx)
    with cli.guarded() as console:
        own = services(cli, changing=True)
        cut_off = use_case.remove(own, force=force)
        console.done("the proxy is removed" + ("; 'deployctl proxy up' starts it again" if cut_off else ""))
        _print_state(cli, own)


def _print_state(cli: Context, own: Services) -> None:
    if cli.json:
        cli.console.report(proxy_report(own))
