"""A model that shows what the proxy really sends, byte by byte, and a proxy in front of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.state import TrafficState
from tests.engine.contracts.proxies import PROGRESS, RealRig, go_on
from tests.engine.harness import free_port
from tests.engine.local_proxy import LocalProxy, program

_HEAD_END = b"\r\n\r\n"
# The key that a client offers a WebSocket with, and the answer to it, from RFC 6455.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
# Paths of the model with answers of their own.
_ANSWERS = {
    b"/long-length": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
    **{
        b"/long-header/%d" % size: b"HTTP/1.1 200 OK\r\nX-Long: %b\r\nContent-Length: 2\r\n\r\nok" % (b"a" * size)
        for size in (60_000, 80_000)
    },
    b"/nothing": b"",
}


class RawModel:
    """Answers each request with its own head. `heads` are the heads of the requests, without the probes'.

    Like many servers it answers before it reads the body, and then waits for as many bytes as Content-Length says.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.heads: list[bytes] = []
        # How many connections are open.
        self.open = 0
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.open += 1
        try:
            self._answer(connection)
        finally:
            self.open -= 1

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as file:
            while head := _read_head(file):
                path = head.split(b" ", 2)[1]
                if path != b"/healthz":
                    self.heads.append(head)
                if path in _ANSWERS:
                    connection.sendall(_ANSWERS[path])
                    if not _ANSWERS[path]:
                        return
                    continue
                if path == b"/slow":
                    time.sleep(0.5)
                upgrade = fields(head, "upgrade")
                if upgrade:
                    connection.sendall(
                        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
                        b"Sec-WebSocket-Accept: %b\r\n\r\n" % (upgrade[0].encode(), ACCEPT)
                    )
                    return
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))
                if "close" in fields(head, "connection"):
                    return
                left = int((fields(head, "content-length") or ["0"])[0])
                while left > 0 and (data := file.read(min(left, 65536))):
                    left -= len(data)


def _read_head(file: object) -> bytes:
    head = b""
    while not head.endswith(_HEAD_END):
        line = file.readline()  # type: ignore[attr-defined]
        if not line:
            return b""
        head += line
    return head


def fields(head: bytes, name: str) -> list[str]:
    """The values of a header in the head of a request or an answer, one for each line."""
    rows = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return [value.strip() for key, _, value in rows if key.lower() == name.lower()]


class Proxied:
    """Apps behind one real proxy, with one model each, and a client that sends bytes."""

    def __init__(self, folder: Path, routes: dict[str, Route]) -> None:
        folder.mkdir(exist_ok=True)
        self.rig = LocalProxy(folder) if program() else RealRig(folder)
        self.models = {name: RawModel() for name in routes}
        self.apps = [
            ProxyApp(
                name,
                replace(route, listen=route.listen or self.rig.listen),
                {"blue": SlotEndpoints("v1", ("127.0.0.1",), ProbeSpec("/healthz", self.models[name].port), True)},
            )
            for name, route in routes.items()
        ]

    def start(self) -> None:
        if isinstance(self.rig, LocalProxy):
            self.rig.start(self.apps)
            return
        self.rig.edge.apply(self.apps, PROGRESS)
        for name in self.models:
            self.rig.traffic.apply(name, TrafficState("blue"))
            self.rig.endpoints.wait_up(name, "blue", 1, timeout=10, cancelled=go_on)

    def close(self) -> None:
        self.rig.close()
        for model in self.models.values():
            model.close()

    @property
    def model(self) -> RawModel:
        """The only model."""
        (model,) = self.models.values()
        return model

    def connect(self) -> socket.socket:
        host, _, port = self.rig.listen.partition(":")
        return socket.create_connection((host, int(port)), timeout=10)

    def ask(self, *lines: str | bytes, path: str = "/", body: bytes = b"") -> tuple[int, bytes, bytes]:
        """The status, the head and the body of the answer to a request with these header lines."""
        with self.connect() as connection:
            return exchange(connection, request(*lines, path=path, body=body))


def request(*lines: str | bytes, path: str = "/", body: bytes = b"") -> bytes:
    """A GET request with exactly these header lines."""
    rows = [f"GET {path} HTTP/1.1".encode(), *(line if isinstance(line, bytes) else line.encode() for line in lines)]
    return b"\r\n".join(rows) + _HEAD_END + body


def exchange(connection: socket.socket, data: bytes) -> tuple[int, bytes, bytes]:
    """Sends a request; returns the status, the head and the body of its answer.

    Raises:
        ConnectionError: the connection was closed without an answer.
    """
    connection.sendall(data)
    answer = b""
    while _HEAD_END not in answer:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"closed without an answer: {answer!r}")
        answer += piece
    head, _, body = answer.partition(_HEAD_END)
    length = int((fields(head, "content-length") or ["0"])[0])
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"closed within an answer: {head!r}")
        body += piece
    return int(head.split()[1]), head, body


def ended(connection: socket.socket) -> bool:
    """Whether the other side closes the connection."""
    return connection.recv(1) == b""


@contextmanager
def proxied(folder: Path, **routes: Route) -> Iterator[Proxied]:
    """Apps with these routes behind a proxy; a route without an address gets a free one, the same for all of them."""
    made = Proxied(folder, routes)
    try:
        made.start()
        yield made
    finally:
        made.close()
