"""The root command, which loads commands by the table, and the common settings of all commands."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from orchestrator.cli.table import TABLE


def new_app(help: str | None = None, *, example: str = "") -> typer.Typer:
    """An app for one command, or with `help` and `example` for a group of commands."""
    text = help and f"{help}\n\nExample: {example}"
    return typer.Typer(help=text, no_args_is_help=help is not None, rich_markup_mode=None, add_completion=False)


# How help texts name what an option takes, as those of Docker do.
_TYPES: dict[Any, str] = {str: "string", int: "int", float: "float", list[str]: "list", Path: "path"}


def _name_types(command: Any) -> None:
    """Names the types of a command's options and arguments for people: Typer names those of Python."""
    for each in getattr(command, "commands", None) or ():
        if command.commands[each] is not None:
            _name_types(command.commands[each])
    for param in command.params:
        if param.param_type_name == "argument":
            # Its help says what it is, and a metavar would be its name in the first line.
            param.display_type_rich = lambda ctx: None
        elif not param.is_flag and param.metavar is None:
            kind = getattr(param, "type_descriptor", None)
            param.metavar = _TYPES.get(getattr(kind, "annotation", None))


class CommandTable(TyperGroup):
    """The root of all commands. The module of a command is imported when the command is used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        _name_types(self)
        # The names are needed for the suggestion after a mistyped command.
        self.commands: dict[str, Any] = {name: None for name, entry in TABLE.items() if not entry.hidden}

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, entry in TABLE.items() if not entry.hidden]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in TABLE:
            return None
        if self.commands.get(cmd_name) is None:
            command = typer.main.get_command(import_module(TABLE[cmd_name].module).app)
            command.name = cmd_name
            _name_types(command)
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, entry.help) for name, entry in TABLE.items() if not entry.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
