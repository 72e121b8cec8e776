"""The master processes of the proxy, and of one that it has replaced, over their sockets.

Protocol: HAProxy Management Guide 2.6, chapter 9.4 (master CLI).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from typing import TypeVar

from orchestrator.adapters.haproxy import sockets
from orchestrator.adapters.haproxy.sockets import Sockets
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen

# Those after the second heading were left by a reload.
_WORKER = re.compile(r"^(\d+)\s+worker\s|^(# old workers)", re.M)
_MASTER = re.compile(r"^(\d+)\s+master\s+(\d+) \[failed: (\d+)\]", re.M)
# Time limit for a master that restarts, which usually takes less than 100 ms. Seconds.
PATIENCE = 2.0
_Read = TypeVar("_Read")


@frozen
class Worker:
    """A worker: the socket of its master process, and its process id, which is unique among the workers of one.

    `old`: a reload has left it to its open connections. It refuses changes of its servers, and no longer checks them.
    """

    socket: str
    pid: str
    old: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.pid if self.socket == sockets.MASTER else f"{self.pid} of the replaced proxy"


class Masters:
    """Sends commands to the proxy that uses this folder. A command takes about 0.2 ms.

    While a replaced proxy finishes its requests, its workers are among the workers: what changes, changes there too.
    """

    def __init__(self, folder: Path, timeout: float = 5.0) -> None:
        self._sockets = Sockets(folder)
        self._timeout = timeout

    def ask(self, command: str, *, patience: float = PATIENCE, timeout: float | None = None) -> str:
        """Sends a command to the master and returns its answer.

        While the master reloads, its socket is closed briefly: `ask` retries for `patience` seconds.

        Raises:
            ProxyError: nothing listens on the socket, or no answer arrives within `timeout` seconds.
        """
        end = time.monotonic() + patience
        while True:
            try:
                return self._sockets.ask(sockets.MASTER, command, timeout or self._timeout)
            except (ConnectionError, FileNotFoundError) as error:
                # Every command may be repeated except this one: the reload itself may close the connection.
                if command == "reload" or time.monotonic() >= end:
                    raise _no_answer(command, error) from error
                time.sleep(0.02)
            except OSError as error:
                raise _no_answer(command, error) from error

    def workers(self, *, patience: float = PATIENCE, timeout: float | None = None) -> list[Worker]:
        """The workers, the current one first, and those of a replaced proxy last."""
        text = self.ask("show proc", patience=patience, timeout=timeout)
        workers = _workers(sockets.MASTER, text)
        if not workers:
            raise ProxyError("the proxy has no worker", why=text.strip(), hint="deployctl doctor")
        return [*workers, *self.leaving()]

    def leaving(self) -> list[Worker]:
        """The workers of a replaced proxy, or of one that is about to be replaced; empty when it has ended."""
        return [
            worker for name in self._sockets.others() for worker in _workers(name, self._ask_other(name, "show proc"))
        ]

    def reloads(self) -> tuple[int, int]:
        """How often the master was reloaded, and how many of these reloads failed."""
        match = _MASTER.search(self.ask("show proc"))
        if match is None:
            raise ProxyError("the proxy's master process does not report its reloads", hint="deployctl doctor")
        return int(match[2]), int(match[3])

    def tell(self, worker: Worker, command: str) -> str:
        """Sends a command to one worker and returns its answer."""
        return self._to(worker, f"@!{worker.pid} {command}")

    def tell_all(self, worker: Worker, commands: Sequence[str]) -> list[list[str]]:
        """Sends several commands to one worker at once; returns the lines of each answer.

        An empty line ends an answer (HAProxy's Management Guide, section 9.4). A worker that ends has fewer answers.
        """
        answers: list[list[str]] = [[]]
        for line in self._to(worker, "; ".join(f"@!{worker.pid} {command}" for command in commands)).splitlines():
            if line:
                answers[-1].append(line)
            else:
                answers.append([])
        return answers[: len(commands)]

    def _to(self, worker: Worker, command: str) -> str:
        return self.ask(command) if worker.socket == sockets.MASTER else self._ask_other(worker.socket, command)

    def _ask_other(self, name: str, command: str) -> str:
        """The answer of another master; empty when it has ended. It closes its socket only then: nobody reloads it."""
        try:
            return self._sockets.ask(name, command, self._timeout)
        except (ConnectionError, FileNotFoundError):
            return ""
        except OSError as error:
            raise _no_answer(command, error) from error

    def steady(self, read: Callable[[], _Read]) -> _Read:
        """What `read` returns while no other command replaces the proxy: its workers would be mistaken for others."""
        while True:
            before = self._sockets.identity()
            found = read()
            if self._sockets.identity() == before:
                return found


def _workers(socket: str, text: str) -> list[Worker]:
    """The workers that `show proc` lists."""
    workers, old = [], False
    for pid, heading in _WORKER.findall(text):
        old = old or bool(heading)
        if pid:
            workers.append(Worker(socket, pid, old))
    return workers


def _no_answer(command: str, error: OSError) -> ProxyError:
    return ProxyError("the proxy does not answer", why=f"{command.split()[0]}: {error}", hint="deployctl proxy up")
