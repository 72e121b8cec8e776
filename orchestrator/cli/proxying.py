"""`proxy`: the one proxy of a state folder."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.cli.frame import frame
from orchestrator.errors import UsageError


def up(context: typer.Context) -> None:
    """Make the proxy run, with every app that the ledger knows.

    Example: deployctl proxy up
    """
    own = frame(context)
    with own.guarded() as console:
        services = own.services(changing=True)
        with services.locks.proxy():
            services.proxy.apply(services.ledger.proxy_apps(), console.detail)
        console.done("the proxy runs")
        if own.json:
            console.data({"schema_version": 1, "proxy": {"state": services.proxy.state()}})


def status(context: typer.Context) -> None:
    """Say how the proxy is and where it sends each app's requests.

    Example: deployctl proxy status --json
    """
    own = frame(context)
    with own.guarded() as console:
        services = own.services()
        state = services.proxy.state()
        rows: list[dict[str, Any]] = []
        for app in services.ledger.proxy_apps():
            route = services.proxy.running_route(app.name) if state == "running" else None
            rows.append(
                {
                    "app": app.name,
                    "listen": app.route.listen,
                    "hosts": list(app.route.hosts),
                    "path_prefix": app.route.path_prefix,
                    "route": route,
                    "on_disk": services.proxy.route(app.name),
                    "servers": services.proxy.servers(app.name, route) if route else {},
                }
            )
        if own.json:
            console.data({"schema_version": 1, "proxy": {"state": state}, "apps": rows})
            return
        console.print(f"proxy: {state}")
        for row in rows:
            where = f"{row['listen']}{row['path_prefix']}" + (
                f" host {', '.join(row['hosts'])}" if row["hosts"] else ""
            )
            servers = ", ".join(f"{name} {verdict}" for name, verdict in row["servers"].items())
            console.print(f"  {row['app']}: {where} → {row['route'] or 'nowhere'} ({servers or 'no server'})")


def reload(context: typer.Context) -> None:
    """Have the proxy load its configuration anew, without losing a request.

    Example: deployctl proxy reload
    """
    own = frame(context)
    with own.guarded() as console:
        services = own.services(changing=True)
        with services.locks.proxy():
            services.proxy.up(services.ledger.proxy_apps(), console.detail)
            services.proxy.reload()
        console.done("the proxy has loaded its configuration anew")
        if own.json:
            console.data({"schema_version": 1, "proxy": {"state": services.proxy.state()}})


def down(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Also while apps are served: they stop answering.")] = False,
) -> None:
    """Remove the proxy. Every app behind it stops answering.

    Example: deployctl proxy down --force
    """
    own = frame(context)
    with own.guarded() as console:
        services = own.services(changing=True)
        with services.locks.proxy():
            served = [app.name for app in services.ledger.proxy_apps()]
            if served and not force:
                raise UsageError(
                    f"the proxy serves {', '.join(served)}", hint="deployctl proxy down --force cuts them off"
                )
            services.proxy.down()
        console.done("the proxy is removed" + ("; 'deployctl proxy up' brings it back" if served else ""))
        if own.json:
            console.data({"schema_version": 1, "proxy": {"state": services.proxy.state()}})


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    group = typer.Typer(
        help="The reverse proxy: up, status, reload, down.", no_args_is_help=True, rich_markup_mode=None
    )
    for command in (up, status, reload, down):
        group.command()(command)
    app.add_typer(group, name="proxy")
