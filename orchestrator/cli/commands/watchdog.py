"""`deployctl watchdog`: checks the live versions, and installs the schedule for that."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from orchestrator.cli.context import Context, current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import watchdog as render
from orchestrator.cli.services import services
from orchestrator.config import load, seconds
from orchestrator.domain.watch.schedule import Entry, write_every
from orchestrator.errors import Degraded, UsageError
from orchestrator.ports.services import Services
from orchestrator.reports.passes import PassesReport, PassReport
from orchestrator.reports.watchdog import InstallReport, SchedulePlace, UninstallReport, watchdog_status
from orchestrator.watch import schedule
from orchestrator.watch.passed import Passed
from orchestrator.watch.rounds import pause, watch_all, watch_one

app = new_app("Watch the live version, and repair or roll it back.", example="deployctl watchdog install")


class _Silent:
    """The reporter of a pass. Prints nothing, because cron would send a mail every minute."""

    def step(self, text: str) -> None:
        return

    detail = update = log = note = step


@app.command()
def run(
    ctx: typer.Context,
    every_app: Annotated[bool, typer.Option("--all", help="Watch all apps of the state folder, in parallel.")] = False,
    loop: Annotated[
        str | None, typer.Option("--loop", help="Repeat; time between the starts of two passes, such as 10s.")
    ] = None,
) -> None:
    """Check the live version once; repair it or roll it back.

    Restarts or recreates failed containers, finishes interrupted deployments, and rolls back a version that cannot be
    repaired or fails its bake. Judges a rollout, and advances or aborts it. Prints one message for each change, and
    nothing otherwise, as cron expects. Exits with 4 when a problem remains.

    Examples: deployctl watchdog run; deployctl watchdog run --all --loop 10s
    """
    cli = current(ctx)
    with cli.guarded():
        period = _period(loop)
        own = services(cli, changing=True, reporter=_Silent())

        def another() -> Services:
            return services(cli, reporter=_Silent(), sharing=own)

        while True:
            started = own.clock()
            passes = watch_all(own, another) if every_app else [watch_one(own, cli.file)]
            _report(cli, passes)
            if period is None:
                break
            pause(own, period - (own.clock() - started))
        if any(passed.outcome in ("degraded", "failed") for passed in passes):
            raise typer.Exit(Degraded.exit_code)


@app.command()
def install(
    ctx: typer.Context,
    every: Annotated[str, typer.Option("--every", help="Time between two passes, such as 1m, 5m or 1h.")] = "1m",
    systemd: Annotated[bool, typer.Option("--systemd", help="Use a systemd timer, which also allows seconds.")] = False,
    user: Annotated[
        bool, typer.Option("--user", help="Install for this user (crontab or user timer), even as root.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the schedule of another app of the same name.")
    ] = False,
) -> None:
    """Run the watchdog on a schedule: cron or a systemd timer.

    Writes a file in /etc/cron.d as root, and an entry in the crontab as another user.

    Examples: deployctl watchdog install; deployctl watchdog install --systemd --every 10s
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        own = services(cli, changing=True)
        done = schedule.install(own, config, str(cli.file), every, systemd=systemd, user=user, force=force)
        entry = done.entry
        step = write_every(entry.every) if entry.every else every
        for removed in done.removed:
            console.note(f"the schedule in {removed.place} was removed: this one replaces it")
        for note in done.notes:
            console.note(note)
        if done.changed:
            console.done(f"a pass over {entry.app} every {step}, by {entry.place}")
        else:
            console.done(f"nothing to do: {entry.place} already has this schedule (every {step})")
        if cli.json:
            console.report(
                InstallReport(
                    app=entry.app,
                    kind=entry.kind,
                    place=entry.place,
                    every=entry.every,
                    changed=done.changed,
                    removed=_places(done.removed),
                    notes=tuple(done.notes),
                )
            )


@app.command()
def uninstall(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Also remove the schedule of another app of the same name.")
    ] = False,
) -> None:
    """Remove the schedule of the watchdog.

    Example: deployctl watchdog uninstall
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        done = schedule.uninstall(services(cli, changing=True), config, str(cli.file), force=force)
        for kept in done.left:
            console.note(f"{kept.place} is for another state folder or file, and was kept: --force removes it")
        if done.removed:
            console.done("; ".join(f"removed from {removed.place}" for removed in done.removed))
        else:
            console.done("nothing to remove")
        if cli.json:
            console.report(UninstallReport(config.app.name, _places(done.removed), _places(done.left)))


@app.command()
def status(ctx: typer.Context) -> None:
    """Show the schedule, the last passes and the next pass.

    Example: deployctl watchdog status --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = watchdog_status(services(cli), config, str(cli.file))
        console.report(report) if cli.json else console.lines(render.watchdog(report))


def _period(loop: str | None) -> float | None:
    """The time between the starts of two passes, in seconds."""
    if loop is None:
        return None
    period = seconds(loop, "--loop")
    if period < 1:
        raise UsageError(f"--loop: {loop} is too short", hint="use at least 1s, for example --loop 10s")
    return period


def _report(cli: Context, passes: list[Passed]) -> None:
    if cli.json:
        cli.console.report(PassesReport(tuple(_pass_report(passed) for passed in passes)))
        return
    watching = sys.stdout.isatty() and not cli.quiet
    for passed in passes:
        for text in passed.new_messages:
            cli.console.print(f"{passed.app}: {text}")
        if watching and not passed.new_messages:
            rest = "; ".join([*passed.problems, *passed.waiting])
            version = f" {passed.version}" if passed.version else ""
            cli.console.print(f"{passed.app}{version}: {passed.outcome}" + (f" ({rest})" if rest else ""))
    cli.console.flush()


def _pass_report(passed: Passed) -> PassReport:
    return PassReport(
        app=passed.app,
        version=passed.version,
        outcome=passed.outcome,
        done=tuple(passed.done),
        problems=tuple(passed.problems),
        waiting=tuple(passed.waiting),
        seconds=round(passed.seconds, 3),
        seen=tuple(passed.seen),
    )


def _places(entries: Iterable[Entry]) -> tuple[SchedulePlace, ...]:
    return tuple(SchedulePlace(entry.kind, entry.place) for entry in entries)
