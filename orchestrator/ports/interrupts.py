"""Ctrl-C and other signals that ask a command to stop."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.errors import Interrupted


class Interrupts(Protocol):
    """Remembers signals, and raises them only at safe points."""

    @property
    def pending(self) -> bool:
        """Whether a signal has come."""

    def check(self) -> None:
        """A safe point.

        Raises:
            Interrupted: a signal has come, and signals are armed.
        """

    def error(self, message: str) -> Interrupted:
        """The error for the signal that has come, with its exit code."""

    def interruptible(self) -> AbstractContextManager[None]:
        """A context in which signals are raised at once, for waits that change nothing. Begins with `check`."""

    def disarm(self) -> None:
        """From now on signals are only remembered, so that what has begun is completed."""

    def arm(self) -> None:
        """Signals are raised again, including one that came in the meantime."""
