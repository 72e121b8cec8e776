"""`watchdog`: what goes on when nobody types a command."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.frame import frame
from orchestrator.cli.passes import run


def install(
    context: typer.Context,
    every: Annotated[str, typer.Option("--every", help="Time between two passes: 1m, 5m, 1h …")] = "1m",
    systemd: Annotated[bool, typer.Option("--systemd", help="A systemd timer, which can also do seconds.")] = False,
    user: Annotated[bool, typer.Option("--user", help="As yourself, also when you are root.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the schedule of another app of this name.")] = False,
) -> None:
    """Have the watchdog run by itself: root by a file in /etc/cron.d, others by their crontab.

    Examples: deployctl watchdog install; deployctl watchdog install --systemd --every 10s
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.domain.watch.schedule import write_every
        from orchestrator.watch.schedule import install as do

        config = own.config()
        services = own.services(changing=True)
        done = do(services, config, str(own.file), every, systemd=systemd, user=user, force=force)
        entry = done.entry
        step = write_every(entry.every) if entry.every else every
        for gone in done.removed:
            console.note(f"the schedule in {gone.place} was taken away: one is enough")
        for note in done.notes:
            console.note(note)
        if done.changed:
            console.done(f"a pass over {entry.app} every {step}, by {entry.place}")
        else:
            console.done(f"nothing to do: {entry.place} says so already (every {step})")
        if own.json:
            console.data(
                {
                    "schema_version": 1,
                    "app": entry.app,
                    "kind": entry.kind,
                    "place": entry.place,
                    "every": entry.every,
                    "changed": done.changed,
                    "removed": [{"kind": gone.kind, "place": gone.place} for gone in done.removed],
                    "notes": done.notes,
                }
            )


def uninstall(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Also that of another app of this name.")] = False,
) -> None:
    """Take the watchdog's schedule away, wherever it is.

    Example: deployctl watchdog uninstall
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.watch.schedule import uninstall as do

        config = own.config()
        services = own.services(changing=True)
        done = do(services, config, str(own.file), force=force)
        for kept in done.left:
            console.note(f"{kept.place} is for another state folder or file, and was left: --force removes it")
        if done.removed:
            console.done("; ".join(f"removed from {gone.place}" for gone in done.removed))
        else:
            console.done("nothing to remove")
        if own.json:
            console.data(
                {
                    "schema_version": 1,
                    "app": config.app.name,
                    "removed": [{"kind": gone.kind, "place": gone.place} for gone in done.removed],
                    "left": [{"kind": kept.kind, "place": kept.place} for kept in done.left],
                }
            )


def status(context: typer.Context) -> None:
    """Say where the watchdog is installed, what its last passes found, and when the next one is due.

    Example: deployctl watchdog status --json
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render
        from orchestrator.watch.schedule import status as look

        config = own.config()
        found = look(own.services(), config, str(own.file))
        console.data(found) if own.json else console.lines(render.watchdog(found))


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    group = typer.Typer(
        help="What goes on when nobody types a command: run, install, uninstall, status.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (run, install, uninstall, status):
        group.command()(command)
    app.add_typer(group, name="watchdog")
