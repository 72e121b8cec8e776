"""The output of all commands: messages on stderr, data on stdout, JSON with --json, colour only on a terminal.

File names, commits, user names and the output of other programs may contain anything, so every method except `raw`
escapes terminal control characters. Values inside a text are made `printable` where the text is built: only there it
is known which line breaks belong to it. No method raises when a stream cannot be written: see `streams.py`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

from orchestrator.cli import streams
from orchestrator.errors import DeployctlError
from orchestrator.reports.error import error_report
from orchestrator.reports.serialize import document
from orchestrator.text import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_RED, _GREEN, _YELLOW, _DIM, _BOLD, _OFF = "\033[31m", "\033[32m", "\033[33m", "\033[2m", "\033[1m", "\033[0m"
# Seconds between two lines about the same wait, where they are not shown on a terminal.
_UPDATE_INTERVAL = 10.0
_COLOURS = re.compile("\033\\[[0-9;]*m")


@dataclass
class Console:
    """Writes to both streams. `json`: stdout carries one JSON document and nothing else.

    `lost` is why data could not be written to stdout; what follows will fail as well, so a command that repeats ends.
    """

    json: bool = False
    quiet: bool = False
    no_color: bool = False
    lost: OSError | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._color = not self.no_color and not os.environ.get("NO_COLOR") and sys.stderr.isatty()
        self._line_open = False
        self._next_update = 0.0

    # Progress: the Reporter of the use cases

    def step(self, text: str) -> None:
        self._next_update = 0.0
        if not self.quiet:
            self._message(self._paint(_BOLD, "→ ") + plain(text))

    def detail(self, text: str) -> None:
        if self.quiet:
            return
        text = _line(text)
        if sys.stderr.isatty():
            # One line that is overwritten: the many lines of a build matter only when it fails.
            streams.write(sys.stderr, "\r\033[K" + self._paint(_DIM, f"  {text[: _width() - 3]}"), flush=True)
            self._line_open = True
        else:
            self._message(f"  {text}")

    def update(self, text: str) -> None:
        # The lines of a log stay: there, one at once and one every ten seconds say enough.
        if sys.stderr.isatty():
            self.detail(text)
        elif time.monotonic() >= self._next_update:
            self._next_update = time.monotonic() + _UPDATE_INTERVAL
            self.detail(text)

    def log(self, text: str) -> None:
        if not self.quiet:
            self._message(f"  {_line(text)}")

    def say(self, text: str) -> None:
        """Lines of a message on stderr; line breaks inside values are already escaped."""
        if not self.quiet:
            for line in text.split("\n"):
                self._message(plain(line))

    def note(self, text: str) -> None:
        if not self.quiet:
            self._message(self._paint(_YELLOW, "note: ") + plain(text))

    def done(self, text: str) -> None:
        if not self.quiet:
            self._message(self._paint(_GREEN, "done: ") + plain(text))

    def ask(self, question: str) -> str:
        """Asks on the terminal; returns the line that was typed, without spaces around it."""
        streams.write(sys.stderr, plain(question), flush=True)
        return sys.stdin.readline().strip()

    # Results

    def report(self, report: DataclassInstance) -> None:
        """A report as a JSON document on stdout."""
        self.data(document(report))

    def data(self, body: dict[str, Any]) -> None:
        """One JSON document on stdout. Printable characters of all scripts stay as they are, others are escaped."""
        ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
        for line in json.dumps(body, indent=2, ensure_ascii=ascii_only).split("\n"):
            # Only a JSON string can contain such a character, and there the escape has the same meaning.
            shown = line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
            self._data(shown + "\n")

    def print(self, text: str) -> None:
        """A line of data on stdout."""
        self._data(plain(text) + "\n")

    def lines(self, text: str) -> None:
        """Lines of data on stdout; line breaks inside values are already escaped."""
        self._data(plain(text, keep="\n") + "\n")

    def raw(self, text: str) -> None:
        """The output of a container, or our own terminal control sequences, unchanged on stdout."""
        self._data(text + "\n")

    def rich(self, renderable: Any) -> None:
        """A table or coloured lines on stdout. Lines are not truncated: a terminal wraps them."""
        from rich.console import Console as Rich
        from rich.text import Text

        terminal = sys.stdout.isatty()
        text = StringIO()
        width = None if terminal else 160
        rich = Rich(file=text, force_terminal=terminal, no_color=self.no_color or None, highlight=False, width=width)
        rich.print(renderable, soft_wrap=isinstance(renderable, Text))
        self._data(text.getvalue())

    def flush(self) -> None:
        """Writes what stdout still holds."""
        self.lost = streams.write(sys.stdout, "", flush=True) or self.lost

    def error(self, error: DeployctlError) -> None:
        """What happened, why, and what to do next, on stderr; with --json also on stdout."""
        self._message(self._paint(_RED, "error: ") + plain(error.message))
        if error.why:
            self._message("  why: " + "\n       ".join(map(_line, error.why.splitlines())))
        for line in error.details.splitlines():
            self._message(f"  {_line(line)}")
        if error.hint:
            self._message("  next: " + plain(error.hint))
        if self.json:
            self.report(error_report(error))

    def _data(self, text: str) -> None:
        self.lost = streams.write(sys.stdout, text) or self.lost

    def _message(self, text: str) -> None:
        before = "\r\033[K" if self._line_open else ""
        self._line_open = False
        streams.write(sys.stderr, f"{before}{text}\n", flush=True)

    def _paint(self, color: str, text: str) -> str:
        return f"{color}{text}{_OFF}" if self._color else text


def _line(text: str) -> str:
    """A line of another program: its colours are removed, other control characters are escaped."""
    return plain(_COLOURS.sub("", text).expandtabs())


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:  # the terminal is lost
        return 80
