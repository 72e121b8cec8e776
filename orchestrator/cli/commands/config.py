"""`deployctl config`: checks deploy.toml, and prints JSON Schemas."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.config import json_schema, load
from orchestrator.config.secrets import wrong_secrets
from orchestrator.errors import ConfigError
from orchestrator.reports.catalog import REPORTS, report_schema
from orchestrator.reports.config import ConfigReport, ReportNames

app = new_app("Check deploy.toml, or print its JSON Schema.", example="deployctl config check")


@app.command()
def check(ctx: typer.Context) -> None:
    """Check deploy.toml and report all problems.

    Example: deployctl config check --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        wrong, unset = wrong_secrets(config)
        if wrong:
            # Checked only here: other commands work without the files of the secrets.
            raise ConfigError(config.source, wrong)
        # The user who releases sets the variable: it may be missing where the file is only checked.
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
        list[str] | None,
        typer.Argument(help="Name of a command, such as status or proxy up.", autocompletion=candidates.reports),
    ] = None,
) -> None:
    """Print the JSON Schema of a command's JSON output.

    Without a name, print the names of all reports.

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
