"""The root command, which loads commands by the table, and the common settings of all commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from orchestrator.cli.table import TABLE


def new_app(help: str | None = None, *, example: str = "") -> typer.Typer:
    """An app for one command, or with `help` and `example` for a group of commands."""
    text = help and f"{help}\n\nExample: {example}"
    return typer.Typer(help=text, no_args_is_help=help is not None, rich_markup_mode=None, add_completion=False)


class CommandTable(TyperGroup):
    """The root of all commands. The module of a command is imported when the command is used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
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
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [(name, entry.help) for name, entry in TABLE.items() if not entry.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
