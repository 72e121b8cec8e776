"""The replicas of a slot as servers of an HAProxy backend.

Replica 1 is the server `s1`, which is checked, its backup `b1`, which is not, and those that follow `s1` in backends
with two versions (see `backends`). The file haproxy.cfg has the same state for the next start; this module changes it
in every worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from orchestrator.adapters.haproxy import names
from orchestrator.adapters.haproxy.masters import Worker
from orchestrator.adapters.haproxy.rows import Server
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.domain.traffic.endpoint import EndpointHealth
from orchestrator.domain.traffic.route import SlotEndpoints
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen


class HAProxyEndpoints:
    """Implements ports.endpoints.Endpoints."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._sleep = sleep
        self._clock = clock

    def register(self, app: str, slot: Slot, endpoints: SlotEndpoints) -> None:
        entries = {names.VERSIONS: endpoints.version, names.REPLICAS: str(max(1, len(endpoints.addresses)))}
        self._runtime.set_entries(names.backend(app, slot), entries)

        def point(worker: Worker, name: str, server: Server) -> None:
            if server.moved:
                return
            if server.index > len(endpoints.addresses) or not endpoints.addresses[server.index - 1]:
                self._park(worker, name, server)
                return
            address = endpoints.addresses[server.index - 1]
            self._runtime.tell(worker, f"set server {name} addr {address} port {endpoints.service_port}")
            if server.checked:
                self._runtime.tell(worker, f"set server {name} check-port {endpoints.probe.port}")
            if server.stopped and not server.tracking:
                self._runtime.tell(worker, f"set server {name} state ready")

        self._runtime.each_server(app, slot, point)
        self._runtime.move(app, slot, _first(endpoints))

    def drift(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[str]:
        differences = self._differences(app, slots)
        return [f"{each.what} is {each.found}, recorded is {each.recorded}" for _, each in differences]

    def repair(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[str]:
        differences = self._differences(app, slots)
        for slot in {slot for slot, _ in differences}:
            recorded = slots.get(slot)
            if recorded is not None and recorded.active:
                self.register(app, slot, recorded)
            else:
                self.park(app, slot)
        return [f"{each.what} was set to {each.recorded}, it was {each.found}" for _, each in differences]

    def _differences(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[tuple[Slot, _Difference]]:
        found: list[tuple[Slot, _Difference]] = []
        for old, worker in self._runtime.slots(app):
            for slot, (servers, version) in worker.items():
                recorded = slots.get(slot)
                # A worker that a reload has left gets no requests for a slot that is not in use, and cannot forget it.
                if not old or (recorded is not None and recorded.active):
                    found += [(slot, each) for each in _differences(app, slot, servers, version, recorded)]
        # A server and its backup, or two workers, often have the same fault.
        return list(dict.fromkeys(found))

    def park(self, app: str, slot: Slot) -> None:
        self._runtime.each_server(app, slot, self._park)
        self._runtime.move(app, slot, "")

    def _park(self, worker: Worker, name: str, server: Server) -> None:
        if server.moved:
            return
        if server.backup:
            self._runtime.tell(worker, f"set server {name} state maint")
        self._runtime.tell(worker, f"set server {name} addr {names.PARKED_ADDRESS} port {names.PARKED_PORT}")
        if server.checked:
            self._runtime.tell(worker, f"set server {name} check-port {names.PARKED_PORT}")
            # The last check was for another address.
            self._runtime.tell(worker, f"set server {name} health down")

    def wait_up(self, app: str, slot: Slot, count: int, *, timeout: float, cancelled: Callable[[], None]) -> None:
        limit = self._clock() + timeout
        while True:
            servers = self._runtime.checked(app, slot)
            healthy = sum(server.up for server in servers)
            if healthy >= count:
                return
            cancelled()
            if self._clock() >= limit:
                reported = (
                    ", ".join(f"{server.name} {server.status} {server.check}".strip() for server in servers)
                    or "no server"
                )
                share = f"only {healthy} of {count} servers are healthy" if healthy else "no healthy server"
                raise ProxyError(
                    f"{share} for {app} in {slot}",
                    why=f"after {timeout:g} s the proxy reports: {reported}",
                    hint="check that the proxy can reach the containers: deployctl doctor",
                )
            self._sleep(0.01)

    def health(self, app: str, slot: Slot) -> tuple[EndpointHealth, ...]:
        # Until the first check of a new worker, HAProxy assumes that a server is up; `wait_up` waits for that check.
        return tuple(
            EndpointHealth(server.index, server.status.startswith("UP"), server.status, _target(server))
            for server in self._runtime.checked(app, slot)
        )

    def open_requests(self, app: str, slot: Slot) -> dict[int, int]:
        return self._runtime.open_requests(app, slot)

    def answered(self, app: str, slot: Slot) -> dict[int, int]:
        return self._runtime.answered(app, slot)

    def cut(self, app: str, slot: Slot) -> int:
        count = self._runtime.sessions(app, slot)
        self._runtime.cut(app, slot)
        return count

    def counters(self, app: str) -> dict[str, dict[Slot, Sample]]:
        return self._runtime.counters(app)

    def unanswered(self, app: str) -> dict[str, int]:
        return self._runtime.unanswered(app)


@frozen
class _Difference:
    """Something of the running proxy that is not what the ledger records."""

    what: str
    found: str
    recorded: str


def _first(endpoints: SlotEndpoints) -> str:
    """The first address that the slot has, as `address:port`; empty when it has none."""
    targets = (endpoints.target(index) for index in range(1, len(endpoints.addresses) + 1))
    return next((target for target in targets if target), "")


def _target(server: Server) -> str:
    return "" if server.address == names.PARKED else server.address


def _differences(
    app: str, slot: Slot, servers: Iterable[Server], version: str | None, recorded: SlotEndpoints | None
) -> Iterator[_Difference]:
    """How one worker differs from what is recorded of a slot."""
    for server in sorted(servers, key=lambda server: (server.index, server.backup)):
        replica = f"of replica {server.index} of {app} in {slot}"
        wanted = "" if recorded is None else _first(recorded) if server.moved else recorded.target(server.index)
        if _target(server) != wanted:
            yield _Difference(f"the running proxy's address {replica}", _target(server) or "none", wanted or "none")
        elif wanted and server.stopped and not server.tracking:
            yield _Difference(f"the running proxy's state {replica}", server.status, "ready")
    if recorded is not None and recorded.active and version != recorded.version:
        yield _Difference(f"the running proxy's version of {app} in {slot}", version or "none", recorded.version)
