"""How long work reports what it does, and learns that it shall stop."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Where progress goes, for people: `step` for what begins, `detail` for what happens in it, `note` for the rest."""

    def step(self, text: str) -> None:
        """A new step begins."""

    def detail(self, text: str) -> None:
        """Something happens in the present step; may be called many times a second."""

    def note(self, text: str) -> None:
        """Something that a person should know, whatever the step."""


class Progress(Protocol):
    """What long work in an adapter calls: it reports, and it asks whether it shall go on."""

    def detail(self, text: str) -> None:
        """Something happens; may be called many times a second."""

    def check(self) -> None:
        """A point where it may stop.

        Raises:
            Interrupted: somebody asked it to.
        """
