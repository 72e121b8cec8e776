"""Files of environment variables, as `docker run --env-file` reads them, and quotes as Docker Compose reads them.

A value that is wholly in quotes (spaces and a comment may follow) is read as Compose reads it: in single quotes \\' is
a quote; in double quotes \\n, \\t, \\" and \\\\ are escapes. Every other value is kept as it is, as Docker keeps it,
with its spaces and its #. What would reach the container as something that was not written is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from orchestrator.config.explain import printable
from orchestrator.errors import Finding
from orchestrator.files import NotRegular, TooLarge, read_small

_WHERE = "run.env_file"
_SPACE = " \t\v\f"
# An opening quote, the text with its escapes, the closing quote, and at most a comment.
_QUOTED = {quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}(?:[ \t]+#.*)?") for quote in "'\""}
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SEVERAL_LINES = 'use \\n in double quotes, or run.env (A = """…"""), or a file in run.secrets'


class _Wrong(Exception):
    """A line that is refused: why, and how to write it. Never quotes the line, which may contain a password."""

    def __init__(self, message: str, hint: str = "", more: int = 0) -> None:
        super().__init__(message)
        self.hint = hint
        self.more = more  # how many of the following lines belong to it


def read_env_file(path: Path) -> tuple[dict[str, str], list[Finding]]:
    """The variables of a file, and the problems in it. No finding quotes a line, which may contain a password."""
    shown = printable(path)
    try:
        text = read_small(path).decode("utf-8-sig")
    except FileNotFoundError:
        return {}, [Finding(_WHERE, f"there is no file {shown}")]
    except (NotRegular, TooLarge) as error:
        return {}, [Finding(_WHERE, f"{shown} is {error.strerror}")]
    except OSError as error:
        return {}, [Finding(_WHERE, f"{shown} cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return {}, [Finding(_WHERE, f"{shown} is not UTF-8")]
    return parse_env(text, os.environ)


def parse_env(text: str, inherited: Mapping[str, str]) -> tuple[dict[str, str], list[Finding]]:
    """The variables of a text, and the problems in it. `inherited` has the values of the names without a value."""
    values: dict[str, str] = {}
    findings: list[Finding] = []
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    known = 0
    for number, line in enumerate(lines, 1):
        if number <= known or not (line := line.lstrip()) or line.startswith("#"):
            continue
        try:
            name, value = _entry(line, lines[number:], inherited)
        except _Wrong as wrong:
            findings.append(Finding(_WHERE, f"line {number}: {wrong}", wrong.hint))
            known = number + wrong.more
            continue
        if value is not None:
            values[name] = value
    return values, findings


def _entry(line: str, following: list[str], inherited: Mapping[str, str]) -> tuple[str, str | None]:
    """The name and the value of a line; None for a name without a value that is not set here."""
    written, equals, value = re.sub(r"^export\s+", "", line).partition("=")
    name = written.rstrip()
    if not name:
        raise _Wrong("there is no name before the =", "write NAME=VALUE")
    if re.search(r"\s", name):
        raise _Wrong("expected NAME=VALUE" if not equals else "the name contains a space", "write NAME=VALUE")
    if not name.isprintable():
        raise _Wrong("the name contains a control character")
    if not equals:
        value = inherited.get(name, "")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _Wrong(f"the value of {printable(name)} in the environment is not UTF-8")
        return name, inherited.get(name)
    if "\0" in value:
        raise _Wrong("the value contains a NUL character")
    # Docker refuses "NAME =": such a line is Compose's, which removes the spaces around a value.
    return name, _value(value, following, spaced=written != name)


def _value(value: str, following: list[str], *, spaced: bool) -> str:
    bare = value.strip(_SPACE)
    quote = bare[:1]
    if quote and quote in _QUOTED:
        if found := _QUOTED[quote].fullmatch(bare):
            return _unquoted(found[1], quote)
        if more := _more_lines(bare[1:], following, quote):
            raise _Wrong("a value in quotes has several lines", _SEVERAL_LINES, more)
    return bare if spaced else value


def _more_lines(text: str, following: list[str], quote: str) -> int:
    """How many lines later a quote that opens on a line closes; 0 when it does not. Docker makes variables of them."""
    closing = re.compile(rf"(?:[^{quote}\\]|\\.)*{quote}")
    if closing.match(text):
        return 0
    for more, line in enumerate(following, 1):
        if closing.match(line):
            return more if _QUOTED[quote].fullmatch(quote + line.rstrip(_SPACE)) else 0
    return 0


def _unquoted(text: str, quote: str) -> str:
    if quote == "'":
        return text.replace("\\'", "'")
    if re.search(r"(?<!\\)(?:\\\\)*\$(?:[A-Za-z_{$])", text):
        raise _Wrong("Compose replaces $ in double quotes", "write the value in single quotes, or \\$ for a $")
    return re.sub(r"\\(.)", lambda found: _escaped(found[1]), text)


def _escaped(character: str) -> str:
    if character in '"\\$':
        return character
    return _ESCAPES.get(character, f"\\{character}")
