"""What a person reads: messages on stderr, data on stdout, JSON when asked, colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ConfigError, DeployctlError

_RED, _GREEN, _YELLOW, _DIM, _BOLD, _OFF = "\033[31m", "\033[32m", "\033[33m", "\033[2m", "\033[1m", "\033[0m"


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
            self._message(self._paint(_BOLD, "→ ") + text)

    def detail(self, text: str) -> None:
        if self.quiet:
            return
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
            self._message(self._paint(_YELLOW, "note: ") + text)

    def done(self, text: str) -> None:
        if not self.quiet:
            self._message(self._paint(_GREEN, "done: ") + text)

    # Results

    def data(self, document: dict[str, Any]) -> None:
        """One JSON document on stdout."""
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def print(self, text: str) -> None:
        """A line of data on stdout."""
        sys.stdout.write(text + "\n")

    def rich(self, renderable: Any) -> None:
        """A table or a tree on stdout."""
        from rich.console import Console as Rich

        width = None if sys.stdout.isatty() else 160
        Rich(no_color=self.no_color or None, highlight=False, width=width).print(renderable)

    def error(self, error: DeployctlError) -> None:
        """What happened, why, what to do next: for people on stderr, for programs on stdout as well."""
        self._message(self._paint(_RED, "error: ") + error.message)
        if error.why:
            self._message("  why: " + error.why.replace("\n", "\n       "))
        for line in error.details.splitlines():
            self._message(f"  {line}")
        if error.hint:
            self._message("  next: " + error.hint)
        if self.json:
            body: dict[str, Any] = {
                "code": error.exit_code,
                "message": error.message,
                "why": error.why,
                "details": error.details,
                "next": error.hint,
            }
            if isinstance(error, ConfigError):
                body["findings"] = [
                    {"path": found.path, "message": found.message, "hint": found.hint} for found in error.findings
                ]
            self.data({"schema_version": 1, "error": body})

    def _message(self, text: str) -> None:
        if self._line_open:
            sys.stderr.write("\r\033[K")
            self._line_open = False
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def _paint(self, color: str, text: str) -> str:
        return f"{color}{text}{_OFF}" if self._color else text
