"""What the workers of the proxy do: maps, servers and counters.

After a reload, old workers keep serving their open connections, and an idle keep-alive connection may bring one more
request. So every change is made in all workers and confirmed in all workers.
Protocol: HAProxy Management Guide 2.6, chapter 9.3 (socket commands).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from orchestrator.adapters.haproxy import maps, rows
from orchestrator.adapters.haproxy.masters import PATIENCE, Masters, Worker
from orchestrator.adapters.haproxy.names import MOVED, UNANSWERED, VERSIONS, answers, backend, shielded
from orchestrator.adapters.haproxy.rows import BACKENDS, SERVERS, Server
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import SLOTS, Slot, other
from orchestrator.errors import ProxyError

_CONFIG = "DEPLOYCTL_CONFIG"
# When the container of a proxy started: see the Dockerfile. Containers of older images do not have it.
_STARTED = "DEPLOYCTL_STARTED"
# With which letters the names of servers begin that answer for another slot: see `backends`.
_FALLBACKS = "op"


class Runtime(Masters):
    """Reads and changes what the workers do. A command takes about 0.2 ms."""

    def config(self, *, patience: float = PATIENCE, timeout: float | None = None) -> str:
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
        end = time.monotonic() + PATIENCE
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

    def replace_entries(self, file: str, entries: Mapping[str, str]) -> None:
        """Replaces all entries of a map in every worker atomically: see `maps.replace_entries`."""
        maps.replace_entries(self, file, entries)

    def entries(self, *files: str) -> list[dict[str, str]]:
        """The entries of maps in the current worker."""
        worker = self.workers()[0]
        return [rows.entries(self.tell(worker, f"show map {file}").splitlines()) for file in files]

    def checked(self, app: str, slot: Slot) -> list[Server]:
        """The checked servers of a slot in the current worker, in order of their indexes; empty: an unknown slot."""
        name = backend(app, slot)
        found = rows.servers(self.tell(self.workers()[0], rows.stat(SERVERS, name)), name).values()
        return sorted((server for server in found if server.checked), key=lambda server: server.index)

    def servers(self, app: str, slot: Slot, worker: Worker) -> list[Server]:
        """All servers that stand for a slot in one worker; empty for an unknown slot."""
        places = _places(app, slot)
        found = self.tell_all(worker, [rows.stat(SERVERS, name) for name in places])
        return [
            server
            for (name, kinds), text in zip(places.items(), found, strict=False)
            for server in rows.servers("\n".join(text), name).values()
            if server.name[0] in kinds
        ]

    def slots(self, app: str) -> list[tuple[bool, dict[Slot, tuple[list[Server], str | None]]]]:
        """The servers and the version of each slot, in each worker that has the app; True first: a reload has left it.

        In a worker that a reload has left, a slot that has moved since then has the server `m1` only.
        """
        return self.steady(
            lambda: [(worker.old, found) for worker in self.workers() if (found := self._slots(app, worker))]
        )

    def _slots(self, app: str, worker: Worker) -> dict[Slot, tuple[list[Server], str | None]]:
        maps = self.tell_all(worker, [f"show map {VERSIONS}", f"show map {MOVED}"])
        if len(maps) < 2:
            return {}  # it ends
        names, places = rows.entries(maps[0]), rows.entries(maps[1]) if worker.old else {}
        found = {}
        for slot in SLOTS:
            name = backend(app, slot)
            servers = [server for server in self.servers(app, slot, worker) if not server.moved]
            if worker.old:
                # It shields nobody.
                servers = [server for server in servers if not server.tracking and server.backend == name]
            if servers and name in places:
                servers = [Server("m1", "UP", "", 0, address=places[name], backend=name)]
            found[slot] = (servers, names.get(name))
        return found if any(servers for servers, _ in found.values()) else {}

    def sessions(self, app: str, slot: Slot) -> int:
        """How many requests, streams and WebSockets are open on a slot, in all workers."""
        return sum(self.open_requests(app, slot).values())

    def _servers_or_none(self, app: str, slot: Slot, worker: Worker) -> list[Server]:
        try:
            return self.servers(app, slot, worker)
        except ProxyError:
            if worker in self.workers():
                raise
            return []

    def open_requests(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests, streams and WebSockets are open on each replica of a slot, by index, in all workers."""
        return self.steady(lambda: self._sums(app, slot, lambda server: server.sessions))

    def answered(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests each replica of a slot has answered with 2xx, 3xx or 4xx, by index, in all workers."""
        return self.steady(lambda: self._sums(app, slot, lambda server: server.answered))

    def _sums(self, app: str, slot: Slot, figure: Callable[[Server], int]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for worker in self.workers():
            for server in self._servers_or_none(app, slot, worker):
                counts[server.index] = counts.get(server.index, 0) + figure(server)
        return counts

    def counters(self, app: str) -> dict[str, dict[Slot, Sample]]:
        """Each worker's counters of the slots that it has.

        The key names the worker for all time. Its process id alone does not: a container that starts, or another one,
        gives the same ids again.
        """
        return self.steady(lambda: dict(self._counters(app)))

    def _counters(self, app: str) -> Iterator[tuple[str, dict[Slot, Sample]]]:
        kinds = BACKENDS | SERVERS
        stats = [rows.stat(kinds, name(app, slot)) for slot in SLOTS for name in (backend, shielded)]
        for worker in self.workers():
            try:
                found = self.tell_all(worker, [f"show env {_STARTED}", f"show table {answers(app)}", *stats])
            except ProxyError:
                if worker in self.workers():
                    raise
                continue
            if len(found) < len(stats) + 2:
                continue  # it ends
            text = "\n".join(line for lines in found[2:] for line in lines)
            times = rows.times(found[1])
            samples = {slot: each for slot in SLOTS if (each := _sample(app, slot, text, times)) is not None}
            if samples:
                yield _lasting(worker, found[0]), samples

    def unanswered(self, app: str) -> dict[str, int]:
        """How many requests of an app each worker answered itself, because they had been held for too long.

        The keys are those of `counters`.
        """
        return self.steady(lambda: dict(self._unanswered(app)))

    def _unanswered(self, app: str) -> Iterator[tuple[str, int]]:
        for worker in self.workers():
            found = self.tell_all(worker, [f"show env {_STARTED}", f"show table {UNANSWERED} key {app}"])
            if len(found) == 2:
                yield _lasting(worker, found[0]), rows.requests(found[1])

    def each_server(self, app: str, slot: Slot, act: Callable[[Worker, str, Server], None]) -> None:
        """Calls `act(worker, 'backend/server', server)` for every server of a slot, in every worker that can change it.

        May be repeated.
        """

        def once() -> None:
            for worker in self.workers():
                for server in () if worker.old else self._servers_or_none(app, slot, worker):
                    act(worker, f"{server.backend}/{server.name}", server)

        self.steady(once)

    def move(self, app: str, slot: Slot, target: str) -> None:
        """Sends the last requests of workers that a reload has left to `target`; empty: to where they did then."""
        for worker in self.workers():
            if worker.old:
                self._set_entries(worker, backend(app, slot), {MOVED: target or None})

    def cut(self, app: str, slot: Slot) -> None:
        """Ends all open requests of a slot. May be repeated."""
        name = backend(app, slot)

        def end(worker: Worker, server: str, row: Server) -> None:
            if row.sessions:
                self.tell(worker, f"shutdown sessions server {server}")

        self.each_server(app, slot, end)
        for worker in self.workers():
            for session in rows.sessions(self.tell(worker, "show sess"), name) if worker.old else ():
                self.tell(worker, f"shutdown session {session}")


def _lasting(worker: Worker, started: list[str]) -> str:
    """A name of a worker that no other one ever has; `started` is what it says about its container's start."""
    at = rows.value(started, _STARTED)
    return f"{worker.pid}-{at}" if at else worker.pid


def _places(app: str, slot: Slot) -> dict[str, str]:
    """The backends that have servers of a slot, and with which letters the names of these begin."""
    return {backend(app, slot): "sbm", shielded(app, slot): "nb", shielded(app, other(slot)): _FALLBACKS}


def _sample(app: str, slot: Slot, text: str, times: Mapping[str, int]) -> Sample | None:
    """The counters of a slot in one worker; None when it does not have the slot.

    Servers count an answer when it begins, backends when it ends: so the servers count the requests. What only a
    backend has counted are errors that the proxy gave instead of an answer.
    """
    alone, both = backend(app, slot), shielded(app, slot)
    errors = [rows.errors(text, name) for name in (alone, both)]
    if errors[0] is None:
        return None
    servers = [*rows.servers(text, alone).values(), *rows.servers(text, both).values()]
    fallbacks = [server for server in servers if server.name[0] in _FALLBACKS]
    broken = sum(server.broken for server in servers if server not in fallbacks)
    failed = sum(server.failed for server in servers)
    proxy = max(0, sum(each or 0 for each in errors) - failed)
    rescued = sum(server.answered for server in fallbacks)
    own_times = {key.partition(":")[2]: count for key, count in times.items() if key.startswith(f"{slot}:")}
    answered = sum(server.answered for server in servers)
    # Servers count 101, a connection that is now a WebSocket, together with 100 and 103, which are no answers.
    upgraded = max(0, sum(own_times.values()) - (answered - rescued))
    requests = answered + upgraded + failed + proxy
    failures = failed + proxy + rescued + broken
    return Sample(requests, min(failures, requests), rescued, own_times)


def _not_set(
    key: str, values: Mapping[str, str | None], reported: Mapping[Worker, Mapping[str, str | None]]
) -> ProxyError:
    for file, value in values.items():
        current = {worker: entries.get(file) for worker, entries in reported.items()}
        if any(entry != value for entry in current.values()):
            break
    why = ", ".join(f"worker {worker}: {entry or 'none'}" for worker, entry in current.items())
    return ProxyError(f"the proxy did not set {key} to {value or 'none'}", why=why, hint="deployctl doctor")
