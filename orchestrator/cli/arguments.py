"""The global options may stand anywhere on the command line; this puts them where the parser wants them."""

from __future__ import annotations

from collections.abc import Sequence

_FLAGS = frozenset({"--json", "--quiet", "-q", "--no-color", "--version"})
_VALUES = frozenset({"--file", "-f", "--state-dir"})
# What follows these names is not for this program: the command line of a program in a container, or one to complete.
_PASSES_ON = frozenset({"exec", "__complete"})


def hoist(arguments: Sequence[str]) -> list[str]:
    """Moves global options to the front. Nothing behind `--`, or behind `exec`, is touched."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--" or word in _PASSES_ON:
            rest += [word, *waiting]
            break
        if word in _FLAGS or _attached(word):
            front.append(word)
        elif word in _VALUES and waiting:
            front += [word, waiting.pop(0)]
        else:
            rest.append(word)
    return front + rest


def command(arguments: Sequence[str]) -> str | None:
    """The first word of hoisted arguments that is no global option and no global option's value."""
    words = iter(arguments)
    for word in words:
        if word in _VALUES:
            next(words, None)
        elif word not in _FLAGS and not _attached(word):
            return word
    return None


def _attached(word: str) -> bool:
    """Whether it is an option with its value."""
    return word.startswith(("--file=", "--state-dir=")) or (word[:2] == "-f" and len(word) > 2)
