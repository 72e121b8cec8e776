"""`deployctl plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.options import ImageOption, RefOption
from orchestrator.cli.program import new_app
from orchestrator.cli.render.diff import changes
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import UsageError
from orchestrator.reports.plan import PlanReport, preview

_CHANGES = 10
app = new_app()


@app.command()
def plan(
    ctx: typer.Context,
    action: Annotated[
        str, typer.Argument(help="Action: release or rollback.", autocompletion=candidates.actions)
    ] = "release",
    version: Annotated[
        str | None,
        typer.Argument(help="Version, such as v2; default: the next one.", autocompletion=candidates.planned),
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 10 when something would change.")
    ] = False,
    ref: RefOption = None,
    image: ImageOption = None,
) -> None:
    """Show what a release or a rollback would do.

    Shows the steps, and the files and settings that would differ from what is live. Changes nothing. When the release
    would be refused because it does not fit into the memory beside the live version, the exit code is 2.

    Examples: deployctl plan release v2; deployctl plan rollback
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = preview(services(cli), config, action, version, ref=ref, image=image)
        if cli.json:
            console.report(report)
        else:
            console.print(_title(report))
            for number, step in enumerate(report.steps, 1):
                console.print(f"{number:3}. {step.description}")
            if report.diff is not None:
                console.lines(changes(report.diff))
            for note in report.notes:
                console.note(note)
        if report.fit is not None and report.fit.verdict == "refused":
            if cli.json:
                raise typer.Exit(UsageError.exit_code)  # stdout carries one document: the plan, which says why
            raise UsageError(report.fit.why, hint=report.fit.advice)
        if detailed_exitcode and report.changes:
            raise typer.Exit(_CHANGES)


def _title(report: PlanReport) -> str:
    if not report.changes:
        return f"nothing to do: {report.to} is live"
    if report.from_ is None:
        return f"first {report.kind} of {report.app}: {report.to}"
    if report.kind == "abort":
        return f"abort of {report.app}: {report.to} is stopped, {report.from_} has all requests"
    return f"{report.kind} of {report.app}: {report.from_} → {report.to}"
