"""The proxies of the contract tests of Edge, Traffic and Endpoints: one in memory, and a real one in its container.

The replicas are small servers on loopback addresses of the host, where the real proxy runs as well.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.adapters.docker.host_containers import DockerHostContainers
from orchestrator.adapters.haproxy.container import ProxyContainer
from orchestrator.adapters.haproxy.edge import HAProxyEdge
from orchestrator.adapters.haproxy.endpoints import HAProxyEndpoints
from orchestrator.adapters.haproxy.files import ROUTES, ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.traffic import HAProxyTraffic
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.program import Refusals
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.traffic.state import ALL, TrafficState
from orchestrator.ports.edge import Edge
from orchestrator.ports.endpoints import Endpoints
from orchestrator.ports.traffic import Traffic
from tests.engine.contracts.replica import Replica
from tests.engine.harness import engine, free_port
from tests.engine.upgrading import QuickImages, remove_images
from tests.fakes.edge import FakeEdge, FakeEndpoints, FakeProxyState, FakeTraffic

APP = "mymodel"
VERSIONS: dict[Slot, str] = {"blue": "v1", "green": "v2"}
KINDS = ["fake", "real"]


class Silent:
    """A Progress that ignores everything."""

    def detail(self, text: str) -> None:
        """Ignores the text."""

    update = detail

    def check(self) -> None:
        """Never stops."""


PROGRESS = Silent()


def go_on() -> None:
    """A `cancelled` that never cancels."""


class ProxyRig(ABC):
    """One proxy behind the three ports, its replicas, and a client."""

    edge: Edge
    traffic: Traffic
    endpoints: Endpoints

    def __init__(self) -> None:
        self.port = free_port()
        self.listen = f"127.0.0.1:{free_port()}"

    def address(self, slot: Slot, index: int = 1) -> str:
        return f"127.0.0.{10 * (SLOTS.index(slot) + 1) + index}"

    def slot(self, slot: Slot, replicas: int = 1, *, active: bool = True) -> SlotEndpoints:
        probe = ProbeSpec("/healthz", self.port, timeout=1.0)
        addresses = tuple(self.address(slot, index) for index in range(1, replicas + 1))
        return SlotEndpoints(VERSIONS[slot], addresses, probe, active)

    def app(self, *slots: Slot, name: str = APP, replicas: int = 1, prefix: str = "") -> ProxyApp:
        """An app whose `slots` are in use (default: both)."""
        route = Route(self.listen, path_prefix=prefix)
        return ProxyApp(name, route, {slot: self.slot(slot, replicas) for slot in slots or SLOTS})

    def running(self, *slots: Slot, replicas: int = 1) -> ProxyApp:
        """Starts the proxy with an app, and all replicas of both slots; `slots` (default: both) are in use and up."""
        for slot in SLOTS:
            for index in range(1, replicas + 1):
                self.start(slot, index)
        app = self.app(*slots, replicas=replicas)
        self.edge.apply([app], PROGRESS)
        for slot in slots or SLOTS:
            self.endpoints.wait_up(APP, slot, replicas, timeout=10, cancelled=go_on)
        return app

    @abstractmethod
    def start(self, slot: Slot, index: int = 1) -> None:
        """Starts a replica."""

    @abstractmethod
    def stop(self, slot: Slot, index: int = 1) -> None:
        """Stops a replica."""

    @abstractmethod
    def answer(self) -> str | None:
        """The version that answers a request of a client now; None when none does."""

    @abstractmethod
    def version(self) -> str:
        """The version in the header of a reply to a client."""

    @abstractmethod
    def message(self) -> str | None:
        """What a request of a client is answered with in maintenance; None when it is not."""

    @abstractmethod
    @contextmanager
    def client(self) -> Iterator[Callable[[], str | None]]:
        """A client with one connection, which it keeps; each call is a request, as in `answer`."""

    @abstractmethod
    @contextmanager
    def open_request(self, slot: Slot) -> Iterator[None]:
        """A request that is open on replica 1 of the live slot `slot`."""

    @abstractmethod
    def damage(self) -> None:
        """Damages the states on disk."""

    @abstractmethod
    @contextmanager
    def paused(self) -> Iterator[None]:
        """A proxy that runs and does not answer, until it is unpaused or the block ends."""

    @abstractmethod
    @contextmanager
    def broken(self) -> Iterator[None]:
        """The next program of the proxy does not start."""

    @abstractmethod
    def refuse(self) -> None:
        """Sends a request that a rule refuses, and one that cannot be read."""

    @abstractmethod
    @contextmanager
    def occupied(self, address: str) -> Iterator[None]:
        """Another process listens on the address in the block."""

    @abstractmethod
    @contextmanager
    def rejecting(self) -> Iterator[ProxyApp]:
        """An app whose configuration the proxy rejects."""


class FakeRig(ProxyRig):
    def __init__(self) -> None:
        super().__init__()
        self._addresses: set[str] = set()
        self._asked = 1
        self._state = FakeProxyState(self._containers, now=time.time)
        self.edge = FakeEdge(self._state)
        self.traffic = FakeTraffic(self._state)
        self.endpoints = FakeEndpoints(self._state)

    def _containers(self, app: str) -> list[Container]:
        return [
            Container(address, address, app, "v1", "blue", 1, 1, "sha256:1", "running", address=address)
            for address in sorted(self._addresses)
        ]

    def start(self, slot: Slot, index: int = 1) -> None:
        self._addresses.add(self.address(slot, index))

    def stop(self, slot: Slot, index: int = 1) -> None:
        self._addresses.remove(self.address(slot, index))

    def answer(self) -> str | None:
        state = self.traffic.running(APP)
        if state.held or state.maintenance is not None:
            return None
        # Every second request goes to a candidate that has about half of them.
        self._asked += 1
        chosen = state.candidate if self._asked * state.share // ALL > (self._asked - 1) * state.share // ALL else None
        for slot in (chosen or state.live, state.fallback):
            if slot is not None and any(endpoint.up for endpoint in self.endpoints.health(APP, slot)):
                count = self._state.counted.get((APP, slot), Sample(0, 0, 0, {})).requests
                self._state.counted[APP, slot] = Sample(count + 1, 0, 0, {"10/4": count + 1})
                self._state.answered[APP, slot] = self._state.answered.get((APP, slot), 0) + 1
                return self._state.endpoints[APP, slot].version
        return None

    def version(self) -> str:
        return self.answer() or "none"

    def message(self) -> str | None:
        maintenance = self.traffic.running(APP).maintenance
        return maintenance.message if maintenance is not None else None

    @contextmanager
    def client(self) -> Iterator[Callable[[], str | None]]:
        yield self.answer

    @contextmanager
    def open_request(self, slot: Slot) -> Iterator[None]:
        self._state.open[APP, slot] = 1
        yield
        self._state.open.pop((APP, slot), None)

    def damage(self) -> None:
        self._state.damaged = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._state.paused = True
        yield
        self._state.paused = False

    @contextmanager
    def broken(self) -> Iterator[None]:
        self._state.broken = "no such library"
        yield
        self._state.broken = ""

    def refuse(self) -> None:
        before = self._state.refused.get(self.listen, Refusals(self.listen))
        changed = replace(before, denied=before.denied + 1, unreadable=before.unreadable + 1)
        self._state.refused[self.listen] = changed

    @contextmanager
    def occupied(self, address: str) -> Iterator[None]:
        self._state.taken.add(address)
        yield
        self._state.taken.remove(address)

    @contextmanager
    def rejecting(self) -> Iterator[ProxyApp]:
        self._state.rejection = "invalid"
        yield ProxyApp("other", Route("127.0.0.1:99999"), {"blue": self.slot("blue")})
        self._state.rejection = ""


class RealRig(ProxyRig):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.files = ProxyFiles(folder)
        self.names = Names.of(str(folder))
        self.images = QuickImages(engine)
        self.container = ProxyContainer(DockerHostContainers(engine, self.names), self.images, self.names, folder)
        runtime = Runtime(folder, timeout=1.0)
        traffic = HAProxyTraffic(self.files, runtime)
        self.edge = HAProxyEdge(self.files, runtime, self.container, traffic)
        self.traffic = traffic
        self.endpoints = HAProxyEndpoints(runtime)
        self._replicas: dict[str, Replica] = {}

    def start(self, slot: Slot, index: int = 1) -> None:
        address = self.address(slot, index)
        self._replicas[address] = Replica((address, self.port), VERSIONS[slot])

    def stop(self, slot: Slot, index: int = 1) -> None:
        self._replicas.pop(self.address(slot, index)).stop()

    def answer(self) -> str | None:
        return self._get("/")[0]

    def version(self) -> str:
        return self._get("/")[1]

    def message(self) -> str | None:
        connection = self._connect()
        try:
            connection.request("GET", "/", headers={"X-Request-Id": "r1"})
            reply = connection.getresponse()
            body = reply.read().decode()
        finally:
            connection.close()
        return body.removesuffix(" (request r1)\n") if reply.status == 503 and reply.headers["Retry-After"] else None

    def _get(self, path: str) -> tuple[str | None, str]:
        connection = self._connect()
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read().decode()
            return (body if reply.status == 200 else None), reply.headers["X-Model-Version"]
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, _, port = self.listen.partition(":")
        return http.client.HTTPConnection(host, int(port), timeout=20)

    @contextmanager
    def client(self) -> Iterator[Callable[[], str | None]]:
        connection = self._connect()

        def ask() -> str | None:
            connection.request("GET", "/")
            reply = connection.getresponse()
            body = reply.read().decode()
            return body if reply.status == 200 else None

        try:
            yield ask
        finally:
            connection.close()

    @contextmanager
    def open_request(self, slot: Slot) -> Iterator[None]:
        replica = self._replicas[self.address(slot)]

        def ask() -> None:
            # If the proxy ends the request, the client gets an error.
            with suppress(OSError, http.client.HTTPException):
                self._get("/slow")

        client = threading.Thread(target=ask)
        client.start()
        assert replica.asked.wait(10)
        try:
            yield
        finally:
            replica.released.set()
            client.join(20)

    def damage(self) -> None:
        (self.files.folder / ROUTES).write_bytes(bytes(range(256)))

    @contextmanager
    def paused(self) -> Iterator[None]:
        proxy = engine().containers.get(self.names.proxy)
        proxy.pause()
        try:
            yield
        finally:
            proxy.reload()
            if proxy.status == "paused":
                proxy.unpause()

    @contextmanager
    def broken(self) -> Iterator[None]:
        self.images.lines = 'CMD ["sh", "-c", "echo [ALERT] no such library; exit 1"]'
        yield
        self.images.lines = ""

    def refuse(self) -> None:
        host, _, port = self.listen.partition(":")
        for head in (b"GET /# HTTP/1.1\r\nHost: a\r\n\r\n", b"no request\r\n\r\n"):
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(head)
                assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")

    @contextmanager
    def occupied(self, address: str) -> Iterator[None]:
        host, _, port = address.partition(":")
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, int(port)))
            listener.listen()
            yield

    @contextmanager
    def rejecting(self) -> Iterator[ProxyApp]:
        yield ProxyApp("other", Route("127.0.0.1:99999"), {"blue": self.slot("blue")})

    def close(self) -> None:
        """Removes the proxy and stops all replicas."""
        for replica in self._replicas.values():
            replica.stop()
        self.edge.down()
        self.images.remove(f"{self.names.proxy}:next")
        remove_images()


@contextmanager
def proxy_rig(kind: str, folder: Path) -> Iterator[ProxyRig]:
    """A rig of a kind in KINDS; everything that it started is removed at the end."""
    if kind == "fake":
        yield FakeRig()
        return
    rig = RealRig(folder)
    folder.mkdir(exist_ok=True)
    try:
        yield rig
    finally:
        rig.close()


def shielded(live: Slot) -> TrafficState:
    return TrafficState(live, shield=True)
