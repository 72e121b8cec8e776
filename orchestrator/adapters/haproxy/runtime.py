"""Commands to the running proxy, over the socket of its master process.

After a reload, old workers keep serving their open connections, and an idle keep-alive connection may bring one more
request. So every change is made in all workers and confirmed in all workers.
Protocol: HAProxy Management Guide 2.6, chapters 9.3 (socket commands) and 9.4 (master CLI).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from orchestrator.adapters.haproxy import rows, sockets
from orchestrator.adapters.haproxy.render import VERSIONS, backend
from orchestrator.adapters.haproxy.rows import BACKENDS, SERVERS, Server
from orchestrator.adapters.haproxy.sockets import Sockets
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen

_WORKER = re.compile(r"^(\d+)\s+worker\s", re.M)
_MASTER = re.compile(r"^(\d+)\s+master\s+(\d+) \[failed: (\d+)\]", re.M)
_CONFIG = "DEPLOYCTL_CONFIG"
# When the container of a proxy started: see the Dockerfile. Containers of older images do not have it.
_STARTED = "DEPLOYCTL_STARTED"
_Read = TypeVar("_Read")
# Time limit for a master that restarts, which usually takes less than 100 ms. Seconds.
_PATIENCE = 2.0


@frozen
class Worker:
    """A worker: the socket of its master process, and its process id, which is unique among the workers of one."""

    socket: str
    pid: str

    def __str__(self) -> str:
        return self.pid if self.socket == sockets.MASTER else f"{self.pid} of the replaced proxy"


class Runtime:
    """Sends commands to the proxy that uses this folder. A command takes about 0.2 ms.

    While a replaced proxy finishes its requests, its workers are among the workers: what changes, changes there too.
    """

    def __init__(self, folder: Path, timeout: float = 5.0) -> None:
        self._sockets = Sockets(folder)
        self._timeout = timeout

    def ask(self, command: str, *, patience: float = _PATIENCE, timeout: float | None = None) -> str:
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

    def workers(self, *, patience: float = _PATIENCE, timeout: float | None = None) -> list[Worker]:
        """The workers, the current one first, and those of a replaced proxy last."""
        text = self.ask("show proc", patience=patience, timeout=timeout)
        workers = [Worker(sockets.MASTER, pid) for pid in _WORKER.findall(text)]
        if not workers:
            raise ProxyError("the proxy has no worker", why=text.strip(), hint="deployctl doctor")
        return [*workers, *self.leaving()]

    def leaving(self) -> list[Worker]:
        """The workers of a replaced proxy, or of one that is about to be replaced; empty when it has ended."""
        names = self._sockets.others()
        return [Worker(name, pid) for name in names for pid in _WORKER.findall(self._ask_other(name, "show proc"))]

    def reloads(self) -> tuple[int, int]:
        """How often the master was reloaded, and how many of these reloads failed."""
        match = _MASTER.search(self.ask("show proc"))
        if match is None:
            raise ProxyError("the proxy's master process does not report its reloads", hint="deployctl doctor")
        return int(match[2]), int(match[3])

    def config(self, *, patience: float = _PATIENCE, timeout: float | None = None) -> str:
        """The digest of the configuration that the current worker runs. The limits apply to the first command."""
        answer = self.tell(self.workers(patience=patience, timeout=timeout)[0], f"show env {_CONFIG}")
        return answer.strip().partition("=")[2]

    def loaded(self, timeout: float | None = None) -> str | None:
        """The digest of the configuration that the proxy runs; None when the proxy does not answer.

        It does not wait for a reload: callers hold the lock of the proxy, so no other command reloads it now.
        """
        try:
            return self.config(patience=0, timeout=timeout)
        except ProxyError:
            return None

    def answers(self) -> bool:
        """Whether the proxy answers now."""
        return self.loaded() is not None

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

    def set_entry(self, file: str, key: str, value: str | None) -> None:
        """Sets an entry of a map in every worker (None removes it), and confirms it with every worker.

        Raises:
            ProxyError: a worker reports another value.
        """
        self.set_entries(key, {file: value})

    def set_entries(self, key: str, values: Mapping[str, str | None]) -> None:
        """Sets the entry `key` of several maps in every worker, in this order, and confirms it with every worker.

        A value of None removes the entry. An old worker that ends stops answering shortly before the master removes it
        from its list: it is asked again until then.

        Raises:
            ProxyError: a worker reports another value.
        """
        end = time.monotonic() + _PATIENCE
        waiting = self.workers()
        while waiting:
            for worker in waiting:
                self._set_entries(worker, key, values)
            # Read the list again: a worker that a reload for another app has just started may have read the old file.
            reported = {worker: self._values(worker, key, values) for worker in self.workers()}
            waiting = [worker for worker, current in reported.items() if current != values]
            if waiting and time.monotonic() > end:
                raise _not_set(key, values, reported)
            if waiting:
                time.sleep(0.02)

    def _set_entries(self, worker: Worker, key: str, values: Mapping[str, str | None]) -> None:
        commands = [
            f"del map {file} {key}" if value is None else f"set map {file} {key} {value}"
            for file, value in values.items()
        ]
        for (file, value), answer in zip(values.items(), self.tell_all(worker, commands), strict=False):
            if value is not None and any("not found" in line for line in answer):
                self.tell(worker, f"add map {file} {key} {value}")

    def _values(self, worker: Worker, key: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        answers = self.tell_all(worker, [f"show map {file}" for file in values])
        return {file: rows.entries(answer).get(key) for file, answer in zip(values, answers, strict=False)}

    def entries(self, *files: str) -> list[dict[str, str]]:
        """The entries of maps in the current worker."""
        worker = self.workers()[0]
        return [rows.entries(self.tell(worker, f"show map {file}").splitlines()) for file in files]

    def servers(self, app: str, slot: Slot, worker: Worker | None = None) -> dict[str, Server]:
        """The servers of a slot by name, in one worker (default: the current one); empty for an unknown slot."""
        name = backend(app, slot)
        return rows.servers(self.tell(worker or self.workers()[0], rows.stat(SERVERS, name)), name)

    def slots(self, app: str) -> list[dict[Slot, tuple[dict[str, Server], str | None]]]:
        """The servers and the version of each slot, in each worker that has the app."""
        return self.steady(lambda: [found for worker in self.workers() if (found := self._slots(app, worker))])

    def _slots(self, app: str, worker: Worker) -> dict[Slot, tuple[dict[str, Server], str | None]]:
        commands = [rows.stat(SERVERS, backend(app, slot)) for slot in SLOTS]
        *stats, versions = self.tell_all(worker, [*commands, f"show map {VERSIONS}"])
        if len(stats) < len(SLOTS):
            return {}  # it ends
        names = rows.entries(versions)
        found = {
            slot: (rows.servers("\n".join(text), backend(app, slot)), names.get(backend(app, slot)))
            for slot, text in zip(SLOTS, stats, strict=True)
        }
        return found if any(servers for servers, _ in found.values()) else {}

    def sessions(self, app: str, slot: Slot) -> int:
        """How many requests, streams and WebSockets are open on a slot, in all workers."""
        return sum(self.open_requests(app, slot).values())

    def _servers_or_none(self, app: str, slot: Slot, worker: Worker) -> dict[str, Server]:
        try:
            return self.servers(app, slot, worker)
        except ProxyError:
            if worker in self.workers():
                raise
            return {}

    def open_requests(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests, streams and WebSockets are open on each replica of a slot, by index, in all workers."""
        return self.steady(lambda: self._sums(app, slot, lambda server: server.sessions))

    def answered(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests each replica of a slot has answered with 2xx, 3xx or 4xx, by index, in all workers."""
        return self.steady(lambda: self._sums(app, slot, lambda server: server.answered))

    def _sums(self, app: str, slot: Slot, figure: Callable[[Server], int]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for worker in self.workers():
            for server in self._servers_or_none(app, slot, worker).values():
                counts[server.index] = counts.get(server.index, 0) + figure(server)
        return counts

    def counters(self, app: str, slot: Slot) -> dict[str, Sample]:
        """Each worker's counters of a slot: requests, failed requests, mean response time.

        The key names the worker for all time. Its process id alone does not: a container that starts, or another one,
        gives the same ids again.
        """
        return self.steady(lambda: dict(self._counters(backend(app, slot))))

    def _counters(self, name: str) -> Iterator[tuple[str, Sample]]:
        for worker in self.workers():
            try:
                answers = self.tell_all(worker, [f"show env {_STARTED}", rows.stat(BACKENDS, name)])
            except ProxyError:
                if worker in self.workers():
                    raise
                continue
            sample = rows.sample("\n".join(answers[-1]), name)
            if sample is not None:
                started = rows.value(answers[0], _STARTED)
                yield f"{worker.pid}-{started}" if started else worker.pid, sample

    def each_server(self, app: str, slot: Slot, act: Callable[[Worker, str, Server], None]) -> None:
        """Calls `act(worker, 'backend/server', server)` for every server of a slot in every worker. May be repeated."""

        def once() -> None:
            for worker in self.workers():
                for server in self._servers_or_none(app, slot, worker).values():
                    act(worker, f"{backend(app, slot)}/{server.name}", server)

        self.steady(once)


def _not_set(
    key: str, values: Mapping[str, str | None], reported: Mapping[Worker, Mapping[str, str | None]]
) -> ProxyError:
    for file, value in values.items():
        current = {worker: entries.get(file) for worker, entries in reported.items()}
        if any(entry != value for entry in current.values()):
            break
    why = ", ".join(f"worker {worker}: {entry or 'none'}" for worker, entry in current.items())
    return ProxyError(f"the proxy did not set {key} to {value or 'none'}", why=why, hint="deployctl doctor")


def _no_answer(command: str, error: OSError) -> ProxyError:
    return ProxyError("the proxy does not answer", why=f"{command.split()[0]}: {error}", hint="deployctl proxy up")
