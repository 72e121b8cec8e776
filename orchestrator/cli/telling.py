"""The command that proves that notifications arrive, before they are needed."""

from __future__ import annotations

from typing import Any

import typer

from orchestrator.cli.frame import frame
from orchestrator.errors import DeploymentFailed, UsageError


def notify(context: typer.Context) -> None:
    """Send a test notification to every URL that is configured, and say how many took it.

    Ends with 3 when one did not. Example: deployctl notify
    """
    own = frame(context)
    with own.guarded() as console:
        from orchestrator.watch.notices import trial

        config = own.config()
        found = trial(own.services(), config)
        if not found.replies and not found.problems:
            raise UsageError(
                "there is nobody to tell",
                why="neither notify.urls nor notify.urls_file nor DEPLOYCTL_NOTIFY_URLS names a URL",
                hint='write urls = ["…"] under [notify]',
            )
        failed = [(number, why) for number, why in enumerate(found.replies, 1) if why is not None]
        took, count = len(found.replies) - len(failed), len(found.replies)
        if own.json:
            body: dict[str, Any] = {
                "urls": count,
                "took": took,
                "failed": [{"number": number, "why": why} for number, why in failed],
                "problems": found.problems,
            }
            console.data({"schema_version": 1, "app": config.app.name, **body})
        else:
            console.print(f"{took} of {count} {'URL' if count == 1 else 'URLs'} took it")
            for line in [*(f"number {number}: {why}" for number, why in failed), *found.problems]:
                console.print(f"  {line}")
        if failed or found.problems:
            raise typer.Exit(DeploymentFailed.exit_code)


def register(app: typer.Typer) -> None:
    """Adds this room's commands."""
    app.command()(notify)
