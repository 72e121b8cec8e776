"""`deployctl config`: check deploy.toml, or print its schema or that of a JSON document."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.config import json_schema, load
from orchestrator.config.secrets import wrong_secrets
from orchestrator.errors import ConfigError
from orchestrator.reports.catalog import REPORTS, report_schema
from orchestrator.reports.config import ConfigReport, ReportNames

app = new_app("Check deploy.toml, or print its JSON Schema.")


@app.command()
def check(ctx: typer.Context) -> None:
    """Check deploy.toml and report every problem at once.

    Example: deployctl config check --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        wrong, unset = wrong_secrets(config)
        if wrong:
            # Checked only here: a live version is shown, rolled back and watched without the files of its secrets.
            raise ConfigError(config.source, wrong)
        # A variable is set by the user who releases: where a file is only checked, it may be missing.
        report = ConfigReport(str(cli.file), config.app.name, findings=(), notes=tuple(map(str, unset)))
        if cli.json:
            console.report(report)
        else:
            console.print(f"{report.file}: valid (app {report.app})")
            for note in report.notes:
                console.note(note)


@app.command()
def schema(ctx: typer.Context) -> None:
    """Print the JSON Schema of deploy.toml, for editors.

    Example: deployctl config schema > deploy.schema.json
    """
    with current(ctx).guarded() as console:
        console.data(json_schema())


@app.command("report-schema")
def print_report_schema(
    ctx: typer.Context,
    name: Annotated[
        list[str] | None, typer.Argument(help="A command: status, proxy up …; without it all names")
    ] = None,
) -> None:
    """Print the JSON Schema of a command's JSON output.

    Without a name, list the names.

    Examples: deployctl config report-schema status; deployctl config report-schema proxy up
    """
    cli = current(ctx)
    with cli.guarded() as console:
        if name:
            console.data(report_schema(" ".join(name)))
        elif cli.json:
            console.report(ReportNames(tuple(REPORTS)))
        else:
            for each in REPORTS:
                console.print(each)
