"""`deployctl notify`."""

from __future__ import annotations

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import NotDelivered, UsageError
from orchestrator.reports.notify import notify_report
from orchestrator.watch.notices import send_test

app = new_app()


@app.command()
def notify(ctx: typer.Context) -> None:
    """Send a test notification to every configured URL.

    Exits with 3 when the delivery to a URL fails.

    Example: deployctl notify
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        result = send_test(services(cli), config)
        if not result.replies and not result.problems:
            raise UsageError(
                "no notification URLs configured",
                why="none of notify.urls, notify.urls_file and DEPLOYCTL_NOTIFY_URLS names a URL",
                hint='write urls = ["slack://…"] under [notify]',
            )
        report = notify_report(config.app.name, result.replies, tuple(result.problems))
        if cli.json:
            console.report(report)
        else:
            urls = "URL" if report.urls == 1 else "URLs"
            console.print(f"delivered to {report.delivered} of {report.urls} {urls}")
            for url in report.failed:
                console.print(f"  number {url.number}: {url.why}")
            for problem in report.problems:
                console.print(f"  {problem}")
        if report.failed or report.problems:
            raise typer.Exit(NotDelivered.exit_code)
