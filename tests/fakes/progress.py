"""A `Progress` that remembers what it is told."""

from __future__ import annotations

from collections.abc import Callable


class FakeProgress:
    """Keeps the details; `check` calls what it was given, which may raise."""

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self.details: list[str] = []
        self._check = check

    def detail(self, text: str) -> None:
        self.details.append(text)

    def check(self) -> None:
        self._check()
