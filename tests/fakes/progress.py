"""A `Progress` that records its details."""

from __future__ import annotations

from collections.abc import Callable


class FakeProgress:
    """Records the details; `check` calls the given function, which may raise."""

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self.details: list[str] = []
        self._check = check

    def detail(self, text: str) -> None:
        self.details.append(text)

    update = detail

    def check(self) -> None:
        self._check()
