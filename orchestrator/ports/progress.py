"""How long work reports progress, and learns that it must stop."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Shows progress: `step` for a new step, `detail`, `update` and `log` for it, `note` for everything else.

    Never raises: a message that cannot be shown does not decide how a deployment ends.
    """

    def step(self, text: str) -> None:
        """A new step begins."""

    def detail(self, text: str) -> None:
        """Something happens in the current step; may be called many times a second."""

    def update(self, text: str) -> None:
        """How far something is that takes time. Called again and again, so it may be shown less often than that."""

    def log(self, text: str) -> None:
        """A line that a container of the current step has printed."""

    def note(self, text: str) -> None:
        """Something that the user should know, regardless of the step."""


class Progress(Protocol):
    """What long work in an adapter calls to report progress and to learn that it must stop."""

    def detail(self, text: str) -> None:
        """Something happens; may be called many times a second."""

    def update(self, text: str) -> None:
        """How far something is that takes time. Called again and again, so it may be shown less often than that."""

    def check(self) -> None:
        """A point where it may stop.

        Raises:
            Interrupted: a signal came.
        """
