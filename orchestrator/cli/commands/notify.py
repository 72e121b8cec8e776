"""`deployctl notify`."""

from __future__ import annotations

from typing import Any

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import NotDelivered, UsageError
from orchestrator.watch.notices import trial

app = new_app()


@app.command()
def notify(ctx: typer.Context) -> None:
    """Send a test notification to every configured URL.

    Prints which URLs it was delivered to, and exits with 3 when one of them failed.

    Example: deployctl notify
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        result = trial(services(cli), config)
        if not result.replies and not result.problems:
            raise UsageError(
                "no notification URLs configured",
                why="none of notify.urls, notify.urls_file and DEPLOYCTL_NOTIFY_URLS names a URL",
                hint='write urls = ["…"] under [notify]',
            )
        failed = [(number, why) for number, why in enumerate(result.replies, 1) if why is not None]
        delivered, count = len(result.replies) - len(failed), len(result.replies)
        if cli.json:
            body: dict[str, Any] = {
                "urls": count,
                "took": delivered,
                "failed": [{"number": number, "why": why} for number, why in failed],
                "problems": result.problems,
            }
            console.data({"schema_version": 1, "app": config.app.name, **body})
        else:
            console.print(f"delivered to {delivered} of {count} {'URL' if count == 1 else 'URLs'}")
            for line in [*(f"number {number}: {why}" for number, why in failed), *result.problems]:
                console.print(f"  {line}")
        if failed or result.problems:
            raise typer.Exit(NotDelivered.exit_code)
