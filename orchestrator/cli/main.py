"""The program `deployctl`. Heavy imports happen inside the commands: help and completion must be quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command_name
from typer.models import CommandInfo

from orchestrator import __version__
from orchestrator.cli import deploying, looking, measuring, proxying, settings, telling, versions, watching
from orchestrator.cli.arguments import command, hoist
from orchestrator.cli.frame import Frame

app = typer.Typer(
    name="deployctl",
    help="Puts model services live on Docker and takes them back without losing a request.",
    epilog="The options above may stand anywhere on the line. First steps: deployctl init; deployctl release",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"deployctl {__version__}\n")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-f", envvar="DEPLOYCTL_FILE", help="The configuration.")] = Path(
        "deploy.toml"
    ),
    json: Annotated[bool, typer.Option("--json", envvar="DEPLOYCTL_JSON", help="One JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", envvar="DEPLOYCTL_QUIET", help="Errors only.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", envvar="DEPLOYCTL_NO_COLOR", help="No colour.")] = False,
    state_dir: Annotated[
        Path | None,
        typer.Option("--state-dir", envvar="DEPLOYCTL_STATE_DIR", help="Where the ledger and the proxy's files live."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = Frame(file=file, json=json, quiet=quiet, no_color=no_color, state_dir=state_dir)


for room in (settings, deploying, looking, versions, measuring, proxying, watching, telling):
    room.register(app)


def _keep(name: str | None) -> None:
    """Leaves out all commands but the one that runs: to build them takes longer than most of them run."""
    commands = [found for found in app.registered_commands if _name(found) == name]
    groups = [found for found in app.registered_groups if found.name == name]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups


def _name(found: CommandInfo) -> str:
    return found.name or get_command_name(found.callback.__name__ if found.callback else "")


def main() -> None:
    """Runs the program with the process's arguments, and ends the process."""
    arguments = hoist(sys.argv[1:])
    sys.argv[1:] = arguments
    _keep(command(arguments))
    app(args=arguments, prog_name="deployctl")


if __name__ == "__main__":
    main()
