"""What a person reads: messages on stderr, data on stdout, JSON when asked, colour only on a terminal.

Names of files, commits and persons, and what other programs say, may hold anything: what steers a terminal is escaped
here, whatever the text is. Only `raw` lets it through. Values within a text are made `printable` where it is put
together: only there it is known which of its line breaks are ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import DeployctlError
from orchestrator.reports.error import error_report
from orchestrator.reports.serialize import document
from orchestrator.text import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_RED, _GREEN, _YELLOW, _DIM, _BOLD, _OFF = "\033[31m", "\033[32m", "\033[33m", "\033[2m", "\033[1m", "\033[0m"
_COLOURS = re.compile("\033\\[[0-9;]*m")


@dataclass
class Console:
    """Writes to both streams. `json`: stdout carries one JSON document and nothing else."""

    json: bool = False
    quiet: bool = False
    no_color: bool = False

    def __post_init__(self) -> None:
        self._color = not self.no_color and not os.environ.get("NO_COLOR") and sys.stderr.isatty()
        self._line_open = False

    # Progress: the Reporter of the use cases

    def step(self, text: str) -> None:
        if not self.quiet:
            self._message(self._paint(_BOLD, "→ ") + plain(text))

    def detail(self, text: str) -> None:
        if self.quiet:
            return
        text = _line(text)
        if sys.stderr.isatty():
            # One line that rewrites itself: a build's hundreds of lines are read only when it fails.
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 3
            sys.stderr.write("\r\033[K" + self._paint(_DIM, f"  {text[:width]}"))
            sys.stderr.flush()
            self._line_open = True
        else:
            self._message(f"  {text}")

    def note(self, text: str) -> None:
        if not self.quiet:
            self._message(self._paint(_YELLOW, "note: ") + plain(text))

    def done(self, text: str) -> None:
        if not self.quiet:
            self._message(self._paint(_GREEN, "done: ") + plain(text))

    # Results

    def report(self, report: DataclassInstance) -> None:
        """A report as a JSON document on stdout."""
        self.data(document(report))

    def data(self, body: dict[str, Any]) -> None:
        """One JSON document on stdout: letters of all scripts as they are, what is not printable escaped."""
        for line in json.dumps(body, indent=2, ensure_ascii=False).split("\n"):
            # Only a string can hold such a character, and there its escape means the same.
            shown = line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
            sys.stdout.write(shown + "\n")

    def print(self, text: str) -> None:
        """A line of data on stdout."""
        sys.stdout.write(plain(text) + "\n")

    def lines(self, text: str) -> None:
        """Lines of data on stdout; no value in them holds a line break any more."""
        sys.stdout.write(plain(text, keep="\n") + "\n")

    def raw(self, text: str) -> None:
        """What a container itself wrote, or our own movement of the cursor, on stdout as it is."""
        sys.stdout.write(text + "\n")

    def rich(self, renderable: Any) -> None:
        """A table, or coloured lines, on stdout. Lines are not cut: a terminal wraps them."""
        from rich.console import Console as Rich
        from rich.text import Text

        width = None if sys.stdout.isatty() else 160
        rich = Rich(no_color=self.no_color or None, highlight=False, width=width)
        rich.print(renderable, soft_wrap=isinstance(renderable, Text))

    def error(self, error: DeployctlError) -> None:
        """What happened, why, what to do next: for people on stderr, for programs on stdout as well."""
        self._message(self._paint(_RED, "error: ") + plain(error.message))
        if error.why:
            self._message("  why: " + "\n       ".join(map(_line, error.why.splitlines())))
        for line in error.details.splitlines():
            self._message(f"  {_line(line)}")
        if error.hint:
            self._message("  next: " + plain(error.hint))
        if self.json:
            self.report(error_report(error))

    def _message(self, text: str) -> None:
        if self._line_open:
            sys.stderr.write("\r\033[K")
            self._line_open = False
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def _paint(self, color: str, text: str) -> str:
        return f"{color}{text}{_OFF}" if self._color else text


def _line(text: str) -> str:
    """A line that another program wrote, for people: its colours are left out, what else is not text is escaped."""
    return plain(_COLOURS.sub("", text).expandtabs())
