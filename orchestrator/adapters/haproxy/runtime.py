"""The running proxy, asked and told over the master's socket.

After a reload, old workers go on with their open connections, and an idle keep-alive connection may bring
one more request. So what is set is set in every worker, and what is confirmed is confirmed in every worker.
Protocol: HAProxy Management Guide 2.6, chapters 9.3 (socket commands) and 9.4 (master CLI).
"""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.naming import backend
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ProxyError

if TYPE_CHECKING:
    from orchestrator.domain.traffic.sample import Sample

_WORKER = re.compile(r"^(\d+)\s+worker\s", re.M)
_MASTER = re.compile(r"^(\d+)\s+master\s+(\d+) \[failed: (\d+)\]", re.M)
_CONFIG = "DEPLOYCTL_CONFIG"
# The master needs some tens of milliseconds to start anew. Seconds.
_PATIENCE = 2.0


@dataclass(frozen=True)
class Server:
    """One server line of a backend, as a worker sees it."""

    name: str
    status: str
    check: str
    sessions: int

    @property
    def parked(self) -> bool:
        return self.status.startswith("MAINT")

    @property
    def up(self) -> bool:
        """Up because a check said so, not because HAProxy assumes it at the start."""
        return self.status.startswith("UP") and self.check.lstrip("* ") in ("L7OK", "L7OKC", "L6OK", "L4OK")


class Runtime:
    """Speaks to the proxy whose folder this is. A command takes about 0.2 ms."""

    def __init__(self, folder: Path, timeout: float = 5.0) -> None:
        self._folder = folder
        self._timeout = timeout

    def ask(self, command: str, *, patience: float = _PATIENCE, timeout: float | None = None) -> str:
        """One command to the master. Nobody listens for a moment while it reloads for another app: that is waited for.

        Raises:
            ProxyError: nobody listens for `patience` seconds, or no answer came in time.
        """
        end = time.monotonic() + patience
        while True:
            try:
                return self._ask(command, timeout or self._timeout)
            except (ConnectionError, FileNotFoundError) as error:
                # All commands may be given twice, but this one: its answer may be lost to its own effect.
                if command == "reload" or time.monotonic() >= end:
                    raise _silent(command, error) from error
                time.sleep(0.02)
            except OSError as error:
                raise _silent(command, error) from error

    def _ask(self, command: str, timeout: float) -> str:
        # The path of a UNIX socket has at most 107 bytes: go there by the folder's descriptor.
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
        """The workers' process ids, the current one first."""
        text = self.ask("show proc", patience=patience, timeout=timeout)
        found: list[str] = _WORKER.findall(text)
        if not found:
            raise ProxyError("the proxy has no worker", why=text.strip(), hint="deployctl doctor")
        return found

    def reloads(self) -> tuple[int, int]:
        """How often the master was reloaded, and how often that failed."""
        match = _MASTER.search(self.ask("show proc"))
        if match is None:
            raise ProxyError("the proxy's master does not say how it is", hint="deployctl doctor")
        return int(match[2]), int(match[3])

    def config(self, *, patience: float = _PATIENCE, timeout: float | None = None) -> str:
        """The digest of the configuration that the current worker runs. The limits are those of the first question."""
        answer = self.tell(self.workers(patience=patience, timeout=timeout)[0], f"show env {_CONFIG}")
        return answer.strip().partition("=")[2]

    def tell(self, worker: str, command: str) -> str:
        return self.ask(f"@!{worker} {command}")

    def each(self, command: str) -> list[str]:
        """Every worker's answer. An old worker that ends meanwhile has nothing more to say."""
        current, *old = self.workers()
        answers = [self.tell(current, command)]
        for worker in old:
            try:
                answers.append(self.tell(worker, command))
            except ProxyError:
                if worker in self.workers():
                    raise
        return answers

    def set_entry(self, file: str, key: str, value: str) -> None:
        """Sets a map's entry in every worker, and asks each whether it has it.

        An old worker that ends answers nothing for a moment before it is gone from the master's list: it is asked
        again until it is.

        Raises:
            ProxyError: a worker answers with another value.
        """
        end = time.monotonic() + _PATIENCE
        waiting = self.workers()
        while waiting:
            for worker in waiting:
                answer = self.tell(worker, f"set map {file} {key} {value}")
                if "not found" in answer:
                    self.tell(worker, f"add map {file} {key} {value}")
            # Asked anew: a reload for another app may have brought a worker that has read the file before.
            found = {worker: self._entries(worker, file).get(key) for worker in self.workers()}
            waiting = [worker for worker, has in found.items() if has != value]
            if waiting and time.monotonic() > end:
                raise ProxyError(
                    f"the proxy did not take {key} → {value}", why=f"it says {found}", hint="deployctl doctor"
                )
            if waiting:
                time.sleep(0.02)

    def remove_entry(self, file: str, key: str) -> None:
        self.each(f"del map {file} {key}")

    def entries(self, *files: str) -> list[dict[str, str]]:
        """Maps as the current worker has them."""
        worker = self.workers()[0]
        return [self._entries(worker, file) for file in files]

    def _entries(self, worker: str, file: str) -> dict[str, str]:
        rows = (line.split() for line in self.tell(worker, f"show map {file}").splitlines())
        return {row[1]: row[2] for row in rows if len(row) == 3}

    def servers(self, app: str, slot: Slot, worker: str | None = None) -> dict[str, Server]:
        """The servers of a slot by name, in one worker (the current one if not said)."""
        name = backend(app, slot)
        text = self.tell(worker or self.workers()[0], f"show stat {name} 4 -1")
        rows = csv.DictReader(io.StringIO(text.lstrip("# ")))
        return {
            row["svname"]: Server(row["svname"], row["status"], row["check_status"], int(row["scur"] or 0))
            for row in rows
            if row["pxname"] == name
        }

    def sessions(self, app: str, slot: Slot) -> int:
        """Requests, streams and WebSockets that are open on a slot, in all workers."""
        return sum(
            server.sessions for worker in self.workers() for server in self._servers_or_none(app, slot, worker).values()
        )

    def _servers_or_none(self, app: str, slot: Slot, worker: str) -> dict[str, Server]:
        try:
            return self.servers(app, slot, worker)
        except ProxyError:
            if worker in self.workers():
                raise
            return {}

    def open_requests(self, app: str, slot: Slot) -> dict[str, int]:
        """How many requests are open on each replica of a slot, by the number in its servers' names."""
        found: dict[str, int] = {}
        for worker in self.workers():
            for server in self._servers_or_none(app, slot, worker).values():
                found[server.name[1:]] = found.get(server.name[1:], 0) + server.sessions
        return found

    def samples(self, app: str, slot: Slot) -> dict[str, Sample]:
        """Every worker's counters of a slot: requests, failed ones, and the mean response time."""
        from orchestrator.domain.traffic.sample import Sample  # only here: most commands count nothing

        name = backend(app, slot)
        found = {}
        for worker in self.workers():
            try:
                text = self.tell(worker, f"show stat {name} 2 -1")
            except ProxyError:
                if worker in self.workers():
                    raise
                continue
            for row in csv.DictReader(io.StringIO(text.lstrip("# "))):
                if row["pxname"] == name:
                    # A request that found no server is answered with a 503 and counted as an error, too.
                    lost = int(row["econ"] or 0) + int(row["eresp"] or 0)
                    errors = max(int(row["hrsp_5xx"] or 0), lost)
                    found[worker] = Sample(int(row["req_tot"] or 0), errors, int(row["rtime"] or 0) / 1000)
        return found

    def each_server(self, app: str, slot: Slot, act: Callable[[str, str, Server], None]) -> None:
        """Calls `act(worker, 'backend/server', server)` for every server of a slot in every worker."""
        for worker in self.workers():
            for server in self._servers_or_none(app, slot, worker).values():
                act(worker, f"{backend(app, slot)}/{server.name}", server)


def _silent(command: str, error: OSError) -> ProxyError:
    return ProxyError("the proxy does not answer", why=f"{command.split()[0]}: {error}", hint="deployctl proxy up")
