"""Ctrl-C, SIGTERM and SIGHUP: stop at the next safe point, not in the middle of a step.

The first signal is stored, and raised between steps and inside waits that change nothing. After the switch nothing is
undone any more, so the signal only shortens waits. A second Ctrl-C or SIGTERM ends the program immediately; the next
command finishes or undoes the deployment from the journal.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from orchestrator.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessInterrupts:
    """The received signal, and whether it may be raised now. See the port `Interrupts`."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._inside = 0
        self._armed = True

    def install(self) -> None:
        """Installs the signal handlers of the process."""
        for number in _SIGNALS:
            # nohup and cron ignore SIGHUP: keep that.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            # A terminal that is lost sends SIGHUP more than once: by the kernel, and by the shell.
            if number == signal.SIGHUP:
                return
            raise KeyboardInterrupt
        self.signal = number
        if self._inside:
            self.check()

    def check(self) -> None:
        if self.signal is not None and self._armed:
            raise self.error("stopped before traffic was switched")

    def error(self, message: str) -> Interrupted:
        number = self.signal or signal.SIGINT
        return Interrupted(f"interrupted ({signal.Signals(number).name}): {message}", signal=number)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        self.check()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def disarm(self) -> None:
        self._armed = False

    def arm(self) -> None:
        self._armed = True

    @property
    def pending(self) -> bool:
        return self.signal is not None
