"""The commands that look at versions: what they are, how they differ, when they were live, and whether it is true."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.cli.frame import frame
from orchestrator.errors import Degraded, UsageError


def tree(
    context: typer.Context,
    # A tree is drawn level by level: thousands of levels are nothing to look at.
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many versions, the newest.")] = 200,
) -> None:
    """Draw the versions as a tree of parents: live, stable, rolled back, bad; and what each has changed.

    Examples: deployctl tree; deployctl tree -n 10
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render_versions as render
        from orchestrator.reports.versions import lineage

        config = own.config()
        found = lineage(own.services(), config.app.name, limit)
        console.data(found) if own.json else console.rich(render.tree(found))


def show(context: typer.Context, version: Annotated[str, typer.Argument(help="v1, v2 …")]) -> None:
    """Show everything about one version: identity, files, image, settings, when it was live, deployments.

    Examples: deployctl show v2; deployctl show v2 --json
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render_versions as render
        from orchestrator.reports.versions import show as look

        config = own.config()
        found = look(own.services(), config.app.name, version)
        console.data(found) if own.json else console.lines(render.show(found))


def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(help="v1, v2 …")],
    after: Annotated[str, typer.Argument(help="v1, v2 …")],
) -> None:
    """Say what is different from one version to another: files, tensors, settings, image layers, commits.

    Tensors of safetensors, ONNX and numpy files need: pip install 'deployctl[tensors]'

    Examples: deployctl diff v1 v2; deployctl diff v1 v2 --json
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render_versions as render
        from orchestrator.reports.diff import compare

        found = compare(own.services(), own.config(), before, after)
        console.data(found) if own.json else console.lines(render.diff(found))


def log(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="A path in the folder, or as 'show' names it.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many changes, the newest.")] = 50,
) -> None:
    """List what each version did to one file, newest first: version, time, who, size, digest, commit.

    Examples: deployctl log model/weights.safetensors; deployctl log server.py -n 5
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render_versions as render
        from orchestrator.reports.past import file_log

        found = file_log(own.services(), own.config(), file, limit)
        console.data(found) if own.json else console.rich(render.log(found))


def who_was_live(
    context: typer.Context,
    at: Annotated[
        str | None, typer.Option("--at", help='"2026-11-20 14:05" (UTC), or with +01:00; now if not said.')
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="The beginning of a span instead.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Its end; now if not said.")] = None,
) -> None:
    """Say which version answered at a time, or in a span of time, who put it there, and what it is made of.

    Examples: deployctl who-was-live --at "2026-11-20 14:05"; deployctl who-was-live --from 2026-11-20 --to 2026-11-21
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.cli import render_versions as render
        from orchestrator.domain.moments import moment
        from orchestrator.reports.past import who_was_live as look

        if at is not None and (start is not None or end is not None):
            raise UsageError("--at names one moment, --from and --to a span: they exclude each other")
        if end is not None and start is None:
            raise UsageError("--to is the end of a span", hint="add --from, or ask --at one moment")
        config = own.config()
        services = own.services()
        now = services.wall()
        beginning = at or start
        first = moment(beginning, now) if beginning else now
        last = first if start is None else moment(end, now) if end else now
        if last < first:
            raise UsageError("--to is before --from")
        found = look(services, config.app.name, first, last)
        console.data(found) if own.json else console.lines(render.lived(found))


def verify(context: typer.Context) -> None:
    """Hold everything against what was recorded: events, manifests, stored files, images, what containers really see.

    Ends with 4 when anything is not as it was recorded, and names it. Example: deployctl verify
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.reports.verify import verify as look

        config = own.config()
        found = look(own.services(), config.app.name)
        if own.json:
            body: dict[str, Any] = {
                "ok": not found.problems,
                "checked": dict(found.checked),
                "problems": found.problems,
            }
            body["head"] = {"event": found.head[0], "digest": found.head[1]} if found.head else None
            console.data({"schema_version": 1, "app": config.app.name, **body})
        else:
            counted = ", ".join(f"{what} {count}" for what, count in found.checked.items())
            console.print(f"checked: {counted}")
            for problem in found.problems:
                console.print(f"BAD  {problem}")
            if not found.problems:
                head = f"; the chain ends with event {found.head[0]}, {found.head[1]}" if found.head else ""
                console.print(f"all is as it was recorded{head}")
        if found.problems:
            raise typer.Exit(Degraded.exit_code)


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    for command in (tree, show, diff, log, verify):
        app.command()(command)
    app.command("who-was-live")(who_was_live)
