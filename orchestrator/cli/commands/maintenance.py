"""`deployctl maintenance`: answers requests at the proxy, or lets them wait there, until it is ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import maintenance as render
from orchestrator.cli.services import services
from orchestrator.config import load, seconds
from orchestrator.domain.durations import written
from orchestrator.domain.traffic.maintenance import (
    MESSAGE,
    RETRY_AFTER,
    Maintenance,
    checked_hold,
    checked_message,
    whole_seconds,
)
from orchestrator.errors import UsageError
from orchestrator.release import maintenance as use_case
from orchestrator.reports.maintenance import maintenance as look

_HELP = "Answer requests with 503, or hold them, at the proxy."
app = new_app(
    f"{_HELP}\n\nWithout a command, shows whether the app is in maintenance.", example="deployctl maintenance on"
)
_Given = TypeVar("_Given")
_Value = TypeVar("_Value")


@app.callback(invoke_without_command=True, no_args_is_help=False)
def show(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is not None:
        return
    cli = current(ctx)
    with cli.guarded() as console:
        report = look(services(cli), load(cli.file).app.name)
        console.report(report) if cli.json else console.lines(render.report(report))


@app.command()
def on(
    ctx: typer.Context,
    message: Annotated[
        str, typer.Option("--message", help="What requests are answered with, in one line of at most 500 characters.")
    ] = MESSAGE,
    hold: Annotated[
        str | None,
        typer.Option("--hold", help="Hold requests until maintenance ends, at most this long, such as 30s."),
    ] = None,
    retry_after: Annotated[
        str, typer.Option("--retry-after", help="When clients may try again, such as 30s or 10m.")
    ] = written(RETRY_AFTER),
) -> None:
    """Answer requests with 503 until 'deployctl maintenance off'.

    No request reaches a version, except those that one is answering already. With --hold, requests wait at the proxy;
    those that wait for longer than that get 503. It outlasts restarts of the proxy and of the host, and releases and
    rollbacks. Run it again to change the message or the times.

    Examples: deployctl maintenance on --message "Back at 10:00" --retry-after 1h; deployctl maintenance on --hold 30s
    """
    cli = current(ctx)
    with cli.guarded() as console:
        wanted = Maintenance(
            _option("--message", checked_message, message),
            whole_seconds(seconds(retry_after, "--retry-after")),
            0.0 if hold is None else _option("--hold", checked_hold, seconds(hold, "--hold")),
        )
        config = load(cli.file)
        own = services(cli, changing=True)
        changed = use_case.begin(own, config, wanted)
        report = look(own, config.app.name, changed=changed)
        if cli.json:
            console.report(report)
        elif report.maintenance is not None:
            text = f"{report.app} is in maintenance: requests {render.answer(report.maintenance)}"
            console.done(text if changed else f"nothing to do: {text}")


@app.command()
def off(ctx: typer.Context) -> None:
    """Let requests reach the live version again.

    Requests that wait at the proxy are served. If the app is not in maintenance, does nothing.

    Example: deployctl maintenance off
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli, changing=True)
        changed = use_case.end(own, config)
        report = look(own, config.app.name, changed=changed)
        if cli.json:
            console.report(report)
        else:
            console.done(
                f"the maintenance of {report.app} has ended: requests reach the live version"
                if changed
                else f"nothing to do: {report.app} is not in maintenance"
            )


def _option(name: str, check: Callable[[_Given], _Value], given: _Given) -> _Value:
    try:
        return check(given)
    except ValueError as error:
        raise UsageError(f"{name}: {error}", hint="nothing was changed: 'deployctl maintenance on --help'") from None
