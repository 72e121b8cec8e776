"""Commands to the running proxy, over the socket of its master process.

After a reload, old workers keep serving their open connections, and an idle keep-alive connection may bring one more
request. So every change is made in all workers and confirmed in all workers.
Protocol: HAProxy Management Guide 2.6, chapters 9.3 (socket commands) and 9.4 (master CLI).
"""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.adapters.haproxy.render import VERSIONS, backend
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen

_WORKER = re.compile(r"^(\d+)\s+worker\s", re.M)
_MASTER = re.compile(r"^(\d+)\s+master\s+(\d+) \[failed: (\d+)\]", re.M)
_CONFIG = "DEPLOYCTL_CONFIG"
# Time limit for a master that restarts, which usually takes less than 100 ms. Seconds.
_PATIENCE = 2.0


@frozen
class Server:
    """One server of a backend, as a worker reports it: `s1`, `s2` … are checked, `b1`, `b2` … are their backups.

    `sessions` are open requests, `answered` those that it has answered without a server error.
    """

    name: str
    status: str
    check: str
    sessions: int
    answered: int = 0
    address: str = ""

    @property
    def index(self) -> int:
        """The index of the replica, from 1."""
        return int(self.name[1:])

    @property
    def backup(self) -> bool:
        return self.name.startswith("b")

    @property
    def stopped(self) -> bool:
        """Whether it gets no requests until it is set to `ready`."""
        return self.status.startswith(("MAINT", "DRAIN"))

    @property
    def up(self) -> bool:
        """Whether a check passed; at the start HAProxy assumes that a server is up."""
        return self.status.startswith("UP") and self.check.lstrip("* ") in ("L7OK", "L7OKC", "L6OK", "L4OK")


class Runtime:
    """Sends commands to the proxy that uses this folder. A command takes about 0.2 ms."""

    def __init__(self, folder: Path, timeout: float = 5.0) -> None:
        self._folder = folder
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
                return self._ask(command, timeout or self._timeout)
            except (ConnectionError, FileNotFoundError) as error:
                # Every command may be repeated except this one: the reload itself may close the connection.
                if command == "reload" or time.monotonic() >= end:
                    raise _no_answer(command, error) from error
                time.sleep(0.02)
            except OSError as error:
                raise _no_answer(command, error) from error

    def _ask(self, command: str, timeout: float) -> str:
        # The path of a UNIX socket is limited to 107 bytes, so the folder is addressed by its descriptor.
        folder = os.open(self._folder / "run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                connection.connect(f"/proc/self/fd/{folder}/master.sock")
                connection.sendall(command.encode() + b"\n")
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while data := connection.recv(1 << 16):
                    answer += data
        finally:
            os.close(folder)
        return answer.decode(errors="replace")

    def workers(self, *, patience: float = _PATIENCE, timeout: float | None = None) -> list[str]:
        """The process ids of the workers, the current one first."""
        text = self.ask("show proc", patience=patience, timeout=timeout)
        workers: list[str] = _WORKER.findall(text)
        if not workers:
            raise ProxyError("the proxy has no worker", why=text.strip(), hint="deployctl doctor")
        return workers

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

    def tell(self, worker: str, command: str) -> str:
        """Sends a command to one worker and returns its answer."""
        return self.ask(f"@!{worker} {command}")

    def tell_all(self, worker: str, commands: Sequence[str]) -> list[list[str]]:
        """Sends several commands to one worker at once; returns the lines of each answer.

        An empty line ends an answer (HAProxy's Management Guide, section 9.4).
        """
        answers: list[list[str]] = [[]]
        for line in self.ask("; ".join(f"@!{worker} {command}" for command in commands)).splitlines():
            if line:
                answers[-1].append(line)
            else:
                answers.append([])
        return answers[: len(commands)]

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

    def _set_entries(self, worker: str, key: str, values: Mapping[str, str | None]) -> None:
        commands = [
            f"del map {file} {key}" if value is None else f"set map {file} {key} {value}"
            for file, value in values.items()
        ]
        for (file, value), answer in zip(values.items(), self.tell_all(worker, commands), strict=False):
            if value is not None and any("not found" in line for line in answer):
                self.tell(worker, f"add map {file} {key} {value}")

    def _values(self, worker: str, key: str, values: Mapping[str, str | None]) -> dict[str, str | None]:
        answers = self.tell_all(worker, [f"show map {file}" for file in values])
        return {file: _map_rows(answer).get(key) for file, answer in zip(values, answers, strict=False)}

    def entries(self, *files: str) -> list[dict[str, str]]:
        """The entries of maps in the current worker."""
        worker = self.workers()[0]
        return [self._entries(worker, file) for file in files]

    def _entries(self, worker: str, file: str) -> dict[str, str]:
        return _map_rows(self.tell(worker, f"show map {file}").splitlines())

    def servers(self, app: str, slot: Slot, worker: str | None = None) -> dict[str, Server]:
        """The servers of a slot by name, in one worker (default: the current one); empty for an unknown slot."""
        name = backend(app, slot)
        return _servers(name, self.tell(worker or self.workers()[0], f"show stat {name} 4 -1"))

    def slots(self, app: str) -> list[dict[Slot, tuple[dict[str, Server], str | None]]]:
        """The servers and the version of each slot, in each worker that has the app."""
        commands = [f"show stat {backend(app, slot)} 4 -1" for slot in SLOTS]
        found = []
        for worker in self.workers():
            *stats, versions = self.tell_all(worker, [*commands, f"show map {VERSIONS}"])
            names = _map_rows(versions)
            servers = {
                slot: (_servers(backend(app, slot), "\n".join(text)), names.get(backend(app, slot)))
                for slot, text in zip(SLOTS, stats, strict=True)
            }
            if any(rows for rows, _ in servers.values()):
                found.append(servers)
        return found

    def sessions(self, app: str, slot: Slot) -> int:
        """How many requests, streams and WebSockets are open on a slot, in all workers."""
        return sum(self.open_requests(app, slot).values())

    def _servers_or_none(self, app: str, slot: Slot, worker: str) -> dict[str, Server]:
        try:
            return self.servers(app, slot, worker)
        except ProxyError:
            if worker in self.workers():
                raise
            return {}

    def open_requests(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests, streams and WebSockets are open on each replica of a slot, by index, in all workers."""
        return self._sums(app, slot, lambda server: server.sessions)

    def answered(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests each replica of a slot has answered with 2xx, 3xx or 4xx, by index, in all workers."""
        return self._sums(app, slot, lambda server: server.answered)

    def _sums(self, app: str, slot: Slot, figure: Callable[[Server], int]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for worker in self.workers():
            for server in self._servers_or_none(app, slot, worker).values():
                counts[server.index] = counts.get(server.index, 0) + figure(server)
        return counts

    def counters(self, app: str, slot: Slot) -> dict[str, Sample]:
        """Each worker's counters of a slot, by its process id: requests, failed requests, mean response time."""
        name = backend(app, slot)
        samples = {}
        for worker in self.workers():
            try:
                text = self.tell(worker, f"show stat {name} 2 -1")
            except ProxyError:
                if worker in self.workers():
                    raise
                continue
            for row in csv.DictReader(io.StringIO(text.lstrip("# "))):
                if row.get("pxname") == name:
                    # A request for which no server is available is answered with 503 and also counted as an error.
                    lost = int(row["econ"] or 0) + int(row["eresp"] or 0)
                    errors = max(int(row["hrsp_5xx"] or 0), lost)
                    samples[worker] = Sample(int(row["req_tot"] or 0), errors, int(row["rtime"] or 0) / 1000)
        return samples

    def each_server(self, app: str, slot: Slot, act: Callable[[str, str, Server], None]) -> None:
        """Calls `act(worker, 'backend/server', server)` for every server of a slot in every worker."""
        for worker in self.workers():
            for server in self._servers_or_none(app, slot, worker).values():
                act(worker, f"{backend(app, slot)}/{server.name}", server)


def _answered(row: Mapping[str, str]) -> int:
    return sum(int(row.get(f"hrsp_{group}xx") or 0) for group in (2, 3, 4))


def _servers(name: str, text: str) -> dict[str, Server]:
    """The servers of the backend `name` that `show stat` lists."""
    rows = csv.DictReader(io.StringIO(text.lstrip("# ")))
    return {
        row["svname"]: Server(
            row["svname"], row["status"], row["check_status"], int(row["scur"] or 0), _answered(row), row["addr"]
        )
        for row in rows
        if row.get("pxname") == name
    }


def _map_rows(lines: Sequence[str]) -> dict[str, str]:
    """The entries that `show map` lists, each as its address in memory, its key and its value."""
    rows = (line.split() for line in lines)
    return {row[1]: row[2] for row in rows if len(row) == 3}


def _not_set(
    key: str, values: Mapping[str, str | None], reported: Mapping[str, Mapping[str, str | None]]
) -> ProxyError:
    for file, value in values.items():
        current = {worker: entries.get(file) for worker, entries in reported.items()}
        if any(entry != value for entry in current.values()):
            break
    why = ", ".join(f"worker {worker}: {entry or 'none'}" for worker, entry in current.items())
    return ProxyError(f"the proxy did not set {key} to {value or 'none'}", why=why, hint="deployctl doctor")


def _no_answer(command: str, error: OSError) -> ProxyError:
    return ProxyError("the proxy does not answer", why=f"{command.split()[0]}: {error}", hint="deployctl proxy up")
