"""The program `deployctl`: its global options. The commands are in `table.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator import __version__
from orchestrator.cli import streams
from orchestrator.cli.arguments import hoist
from orchestrator.cli.context import FILE, Context, files_of
from orchestrator.cli.program import CommandTable
from orchestrator.errors import HostError

app = typer.Typer(
    name="deployctl",
    cls=CommandTable,
    help="Release and roll back models without losing a request.",
    epilog="Global options may appear before or after the command. First steps: deployctl init; deployctl release",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(ctx: typer.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        sys.stdout.write(f"deployctl {__version__}\n")
        raise typer.Exit


@app.callback()
def _globals(
    ctx: typer.Context,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="path",
            help=f"Configuration file.  [env var: {FILE}; default: deploy.toml]",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", envvar="DEPLOYCTL_JSON", help="Print one JSON document on stdout.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", envvar="DEPLOYCTL_QUIET", help="Print no progress and no notes.")
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", envvar="DEPLOYCTL_NO_COLOR", help="Do not use colours.")
    ] = False,
    state_dir: Annotated[
        Path | None,
        typer.Option("--state-dir", envvar="DEPLOYCTL_STATE_DIR", help="Folder of the ledger and of the proxy files."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    chosen = files_of(file)
    ctx.obj = Context(file=chosen[0], json=json, quiet=quiet, no_color=no_color, state_dir=state_dir, files=chosen)
    ctx.obj.refuse_several_files(ctx.invoked_subcommand)


def run() -> None:
    """Runs the program with the arguments of the process, and ends the process."""
    streams.prepare()
    sys.argv[1:] = hoist(sys.argv[1:])
    try:
        app(args=sys.argv[1:], prog_name="deployctl")
    except OSError as error:  # a help text that cannot be written; commands handle their own errors
        streams.write(sys.stderr, f"error: the output cannot be written: {error.strerror}\n")
        sys.exit(HostError.exit_code)
    finally:
        streams.finish()
