"""Global options may appear before or after the command; this module moves them to where the parser expects them."""

from __future__ import annotations

from collections.abc import Sequence

_FLAGS = frozenset({"--json", "--quiet", "-q", "--no-color", "--version"})
WITH_FILE = frozenset({"--file", "-f"})
WITH_FOLDER = frozenset({"--state-dir"})
# The arguments of these commands are other command lines: of a program in a container, or the one to complete.
PASSES_ON = frozenset({"exec", "__complete"})


def hoist(arguments: Sequence[str]) -> list[str]:
    """Moves global options to the front. Nothing after `--`, `exec` or `__complete` is moved."""
    front, rest = split(arguments)
    return front + rest


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The global options with their values, and the rest, which begins with the name of the command."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--" or word in PASSES_ON:
            rest += [word, *waiting]
            break
        if word in _FLAGS or _with_value(word):
            front.append(word)
        elif word in WITH_FILE | WITH_FOLDER and waiting:
            front += [word, waiting.pop(0)]
        else:
            rest.append(word)
    return front, rest


def _with_value(word: str) -> bool:
    """Whether a word contains both a global option and its value."""
    return word.startswith(("--file=", "--state-dir=")) or (word[:2] == "-f" and len(word) > 2)
