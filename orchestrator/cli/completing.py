"""The completion candidates at the cursor of a command line: commands, subcommands, options and their values.

Imports only the module of the command on the line, and connects to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperGroup

from orchestrator.cli.arguments import PASSES_ON, WITH_FILE, WITH_FOLDER, split
from orchestrator.cli.completion_scripts import FILES, FOLDERS
from orchestrator.cli.table import TABLE
from orchestrator.frozen import frozen


@frozen
class Candidate:
    """A word and its help. `:files` and `:folders` are not words: they tell the shell to complete paths."""

    word: str
    help: str = ""


def candidates(root: TyperGroup, words: Sequence[str]) -> list[Candidate]:
    """The candidates for the last of `words`, which may be empty. `words` are those after the program's name."""
    before, word, prefix = _at_cursor(words)
    rows = [row for row in _candidates(root, before, word) if row.word.startswith((word, ":"))]
    return [row if row.word.startswith(":") else Candidate(prefix + row.word, row.help) for row in rows]


def _at_cursor(words: Sequence[str]) -> tuple[list[str], str, str]:
    """The words before the cursor, the word at the cursor, and the prefix of that word: `--option=`."""
    # Bash splits --option=value into three words, other shells do not.
    before = [word for number, word in enumerate(words[:-1]) if not (word == "=" and number)]
    word = words[-1] if words else ""
    if word == "=":
        return before, "", ""
    if word.startswith("--") and "=" in word:
        name, _, word = word.partition("=")
        return [*before, name], word, f"{name}="
    return before, word, ""


def _candidates(root: TyperGroup, before: list[str], word: str) -> Iterator[Candidate]:
    front, rest = split(before)
    if rest and rest[0] in PASSES_ON:
        return
    if rest and rest[-1] in WITH_FILE | WITH_FOLDER:
        yield Candidate(FILES if rest[-1] in WITH_FILE else FOLDERS)
        return
    ctx = root.make_context("deployctl", front, resilient_parsing=True)
    if not rest:
        yield from _options(root, ctx, word)
        yield from (Candidate(name, entry.help) for name, entry in TABLE.items() if not entry.hidden)
        return
    name, *arguments = rest
    command: Any = root.get_command(ctx, name)
    if isinstance(command, TyperGroup):
        if not arguments:
            yield from _options(root, ctx, word)
            yield from (Candidate(each, row.get_short_help_str(80)) for each, row in command.commands.items())
            return
        name, *arguments = arguments
        command = command.get_command(ctx, name)
    if command is not None:
        yield from _of_command(root, command, ctx, name, arguments, word)


def _of_command(
    root: TyperGroup, command: Any, parent: Any, name: str, arguments: list[str], word: str
) -> Iterator[Candidate]:
    """The values of the option before the cursor, else options, else the values of the next argument."""
    waiting = _option_with_value(command, arguments)
    ctx = command.make_context(
        name, arguments[:-1] if waiting else list(arguments), parent=parent, resilient_parsing=True
    )
    if waiting is not None:
        yield from _values(waiting, ctx, word)
    elif word.startswith("-") and "--" not in arguments:
        own = list(_options(command, ctx, word))
        yield from own
        yield from (row for row in _options(root, parent, word) if row not in own)
    else:
        for param in command.params:
            if param.param_type_name == "argument" and not _given(ctx, param):
                yield from _values(param, ctx, word)
                return


def _option_with_value(command: Any, arguments: list[str]) -> Any:
    """The option that the last of `arguments` names, when it takes a value."""
    for param in command.params:
        if param.param_type_name == "option" and not param.is_flag and arguments and arguments[-1] in param.opts:
            return param
    return None


def _given(ctx: Any, param: Any) -> bool:
    source = ctx.get_parameter_source(param.name)
    return source is not None and source.name == "COMMANDLINE" and param.nargs != -1


def _values(param: Any, ctx: Any, word: str) -> Iterator[Candidate]:
    for item in param.shell_complete(ctx, word):
        yield Candidate(FILES if item.value == word + FILES else item.value, item.help or "")


def _options(command: Any, ctx: Any, word: str) -> Iterator[Candidate]:
    if word.startswith("-"):
        for param in command.get_params(ctx):
            if param.param_type_name == "option":
                yield from (Candidate(name, param.help or "") for name in param.opts)
