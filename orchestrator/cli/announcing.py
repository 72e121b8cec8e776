"""What a release prints before it changes anything."""

from __future__ import annotations

from orchestrator.cli.context import Context
from orchestrator.cli.render.diff import changes
from orchestrator.ports.services import Services
from orchestrator.release.preparation import PreparedRelease
from orchestrator.reports.plan import release_diff


def announce(cli: Context, own: Services, prepared: PreparedRelease) -> None:
    """Prints what differs from the live version."""
    report = release_diff(own, prepared)
    if report is not None:
        cli.console.say(changes(report))
