"""The parts that the program's commands are made of: a root that loads commands by the table, and their settings."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from orchestrator.cli.table import TABLE


def new_app(help: str | None = None) -> typer.Typer:
    """A command, or with `help` a group of commands, in the style of this program."""
    return typer.Typer(help=help, no_args_is_help=help is not None, rich_markup_mode=None, add_completion=False)


class CommandTable(TyperGroup):
    """The root of all commands. A command's module is imported when the command is asked for by its name."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # The names are known from the start: the suggestion for a mistyped command reads them.
        self.commands: dict[str, Any] = {name: None for name, entry in TABLE.items() if not entry.hidden}

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, entry in TABLE.items() if not entry.hidden]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in TABLE:
            return None
        if self.commands.get(cmd_name) is None:
            command = typer.main.get_command(import_module(TABLE[cmd_name].module).app)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, entry.help) for name, entry in TABLE.items() if not entry.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
