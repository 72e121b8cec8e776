"""Detects an engine that hangs during a stream that may be silent for hours."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import EngineUnreachable

if TYPE_CHECKING:
    from docker import DockerClient

# Seconds between two requests that check whether the engine answers.
_INTERVAL = 5.0


@contextmanager
def watched(client: DockerClient, work: str) -> Iterator[None]:
    """A context in which the wait for a stream, which has no time limit, ends when the engine stops answering.

    A thread asks the engine every few seconds. When it does not answer, the thread sends this process SIGALRM, which
    interrupts the main thread in its wait for the next line. In other threads this does nothing: signals are
    handled in the main thread.

    Raises:
        EngineUnreachable: the engine stopped answering during `work`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = threading.Event()
    main = threading.main_thread().ident
    assert main is not None, "the main thread runs"

    def ask() -> None:
        while not ended.wait(_INTERVAL):
            try:
                client.ping()
            except Exception:  # noqa: BLE001  any error means that the engine did not answer
                if not ended.is_set():
                    signal.pthread_kill(main, signal.SIGALRM)
                return

    def unreachable(number: int, frame: object) -> None:
        raise EngineUnreachable(
            f"the Docker engine stopped answering during {work}",
            hint="check whether it hangs (docker ps), then release again",
        )

    signal.signal(signal.SIGALRM, unreachable)
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # Not the default, which ends the process: the thread may be about to send the signal.
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
