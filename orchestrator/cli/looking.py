"""The commands that look and change nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import Annotated

import typer

from orchestrator.cli.frame import frame
from orchestrator.errors import Degraded, UsageError


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Again every second, until Ctrl-C.")] = False,
) -> None:
    """Say what is live, what is behind it, and how a rollback would go.

    Examples: deployctl status; deployctl status --json
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render
        from orchestrator.reports.status import status as look

        config = own.config()
        services = own.services()
        while True:
            found = look(services, config.app.name, config.proxy.listen)
            if watch and sys.stdout.isatty() and not own.json:
                console.raw("\033[H\033[2J")
            if own.json:
                console.data(found)
            else:
                console.lines(render.status(found))
            if not watch:
                return
            sys.stdout.flush()
            time.sleep(1)


def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many deployments.")] = 20,
) -> None:
    """List the deployments, newest first: who, when, from, to, outcome, why.

    Example: deployctl history -n 5
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render
        from orchestrator.reports.status import history as look

        config = own.config()
        found = look(own.services(), config.app.name, limit)
        console.data(found) if own.json else console.rich(render.history(found))


def doctor(context: typer.Context) -> None:
    """Look at everything that a deployment needs; say what is wrong and how to mend it.

    Ends with 4 when something is wrong. Example: deployctl doctor
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.reports.doctor import doctor as look

        checks = look(own.services(), own.config())
        wrong = [check for check in checks if not check.ok]
        if own.json:
            rows = [{"name": c.name, "ok": c.ok, "found": c.found, "next": c.hint} for c in checks]
            console.data({"schema_version": 1, "ok": not wrong, "checks": rows})
        else:
            for check in checks:
                console.print(f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.found}")
                if check.hint:
                    console.print(f"     next: {check.hint}")
        if wrong:
            raise typer.Exit(Degraded.exit_code)


def logs(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(help="v1, v2 …; the live one if not said")] = None,
    tail: Annotated[int, typer.Option("--tail", min=0, help="How many lines of the past.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes.")] = False,
) -> None:
    """Print the log of a version's containers, also of one that failed and was removed.

    Examples: deployctl logs; deployctl logs v3; deployctl logs --follow
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.reports.status import kept_log

        config = own.config()
        services = own.services()
        observed = services.observe(config.app.name)
        wanted = version or (observed.live.version if observed.live else None)
        if wanted is None:
            raise UsageError(f"{config.app.name} has no live version", hint="deployctl logs v1 names one")
        slot = observed.live.slot if observed.live and observed.live.version == wanted else None
        containers = observed.of(wanted, slot)
        if not containers:
            kept = kept_log(services, config.app.name, wanted)
            if kept is None:
                raise UsageError(f"{wanted} has no containers and no kept log", hint="deployctl tree")
            lines = kept.splitlines()
            if own.json:
                console.data({"schema_version": 1, "version": wanted, "kept": True, "lines": lines})
            else:
                console.raw(kept)
            return
        if follow and len(containers) > 1:
            console.note(f"following {containers[0].name}, the first of {len(containers)}")
            containers = containers[:1]
        collected: dict[str, list[str]] = {}
        for container in containers:
            for line in services.engine.logs(container, tail=tail, follow=follow):
                if own.json and not follow:
                    collected.setdefault(container.name, []).append(line)
                else:
                    console.raw(f"{container.name} | {line}" if len(containers) > 1 else line)
                    sys.stdout.flush()
        if own.json and not follow:
            console.data({"schema_version": 1, "version": wanted, "kept": False, "logs": collected})


def execute(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(help="The program and its arguments.")],
) -> None:
    """Run a program in a container of the live version.

    Ends with the program's exit code. Examples: deployctl exec bash; deployctl exec -- nvidia-smi -L
    """
    own = frame(context)
    with own.guarded():
        config = own.config()
        services = own.services()
        observed = services.observe(config.app.name)
        if observed.live is None:
            raise UsageError(f"{config.app.name} has no live version", hint="deployctl status")
        containers = [c for c in observed.of(observed.live.version, observed.live.slot) if c.running]
        if not containers:
            raise UsageError(f"no container of {observed.live.version} runs", hint="deployctl recover")
        # A shell needs a terminal from end to end: the docker CLI has that, where it exists.
        if sys.stdin.isatty() and sys.stdout.isatty() and shutil.which("docker"):
            os.execvp("docker", ["docker", "exec", "-it", containers[0].id, *command])
        code = services.engine.execute(containers[0], command, sys.stdout.buffer, sys.stderr.buffer)
        raise typer.Exit(code)


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    for command in (status, history, doctor, logs):
        app.command()(command)
    app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(execute)
