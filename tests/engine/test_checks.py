"""The proxy's own checks, with the real proxy: what they ask, how often, and whether they read the whole answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from tests.engine.contracts.proxies import PROGRESS, RealRig, go_on
from tests.engine.harness import App, free_port, until
from tests.engine.raw_model import fields

Script = Callable[[socket.socket], None]


def sent(*pieces: bytes, pause: float = 0.02) -> Script:
    """Sends an answer in pieces, as a server does that writes its head and its body separately."""

    def send(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)

    return send


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
WHOLE: dict[str, Script] = {
    "in two pieces": sent(HEAD % 2, b"ok"),
    "in many pieces": sent(HEAD % 20_000, *[b"x" * 1000] * 20),
    "empty": sent(HEAD % 0),
    "no content": sent(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "chunked": sent(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n", b"0\r\n\r\n"),
    "until the end": sent(b"HTTP/1.0 200 OK\r\n\r\n", *[b"x" * 1000] * 5),
}


@dataclass
class Checked:
    """A server on a port of the host that records its requests, and the errors of its connections."""

    script: Script
    keeps_open: bool = False
    requests: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    broken: list[OSError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = free_port()
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
        with connection:
            self.times.append(time.monotonic())
            try:
                self.requests.append(connection.recv(65536))
                self.script(connection)
                if self.keeps_open:
                    connection.settimeout(10)
                    connection.recv(1)
            except OSError as error:
                self.broken.append(error)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[RealRig]:
    (tmp_path / "proxy").mkdir()
    made = RealRig(tmp_path / "proxy")
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Checked]]:
    servers: list[Checked] = []

    def start(script: Script, *, keeps_open: bool = False) -> Checked:
        servers.append(Checked(script, keeps_open))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def app(rig: RealRig, name: str, probe: ProbeSpec, *, closing: bool = True) -> ProxyApp:
    slot = SlotEndpoints("v1", ("127.0.0.1",), probe, active=True, closing=closing)
    return ProxyApp(name, Route(rig.listen, path_prefix=f"/{name}"), {"blue": slot})


def up(rig: RealRig, name: str) -> bool:
    return [each.up for each in rig.endpoints.health(name, "blue")] == [True]


def test_no_answer_is_cut_off(rig: RealRig, serve: Callable[..., Checked]) -> None:
    servers = {f"app{number}": serve(script) for number, script in enumerate(WHOLE.values())}
    servers["body"] = serve(WHOLE["in many pieces"])
    apps = [
        app(rig, name, ProbeSpec("/", server.port, interval=0.1, body="x" if name == "body" else None))
        for name, server in servers.items()
    ]
    rig.edge.apply(apps, PROGRESS)
    for name in servers:
        rig.endpoints.wait_up(name, "blue", 1, timeout=10, cancelled=go_on)
    until(lambda: all(len(server.times) > 3 for server in servers.values()), "each server was checked four times")
    for (kind, _), server in zip([*WHOLE.items(), ("with a body", None)], servers.values(), strict=True):
        assert server.broken == [], kind
    assert all(up(rig, name) for name in servers)


def test_a_bad_answer_is_read_to_its_end_too(rig: RealRig, serve: Callable[..., Checked]) -> None:
    loading = b"HTTP/1.1 503 Loading\r\nContent-Length: 5000\r\n\r\n"
    servers = [serve(sent(loading, *[b"x" * 1000] * 5)) for _ in range(2)]
    probes = [
        ProbeSpec("/", server.port, interval=0.1, body=body) for server, body in zip(servers, (None, "ok"), strict=True)
    ]
    rig.edge.apply([app(rig, f"app{number}", probe) for number, probe in enumerate(probes)], PROGRESS)
    until(lambda: all(len(server.times) > 3 for server in servers), "each server was checked four times")
    assert not up(rig, "app0")
    assert not up(rig, "app1")
    assert [server.broken for server in servers] == [[], []]


def test_a_server_that_keeps_connections_open_is_up(rig: RealRig, serve: Callable[..., Checked]) -> None:
    server = serve(sent(HEAD % 2 + b"ok"), keeps_open=True)
    rig.edge.apply([app(rig, "app", ProbeSpec("/", server.port, interval=0.1, timeout=0.5), closing=False)], PROGRESS)
    rig.endpoints.wait_up("app", "blue", 1, timeout=10, cancelled=go_on)


def test_a_check_asks_for_the_configured_host_and_port(rig: RealRig, serve: Callable[..., Checked]) -> None:
    health, requests = serve(sent(HEAD % 2 + b"ok")), serve(sent(HEAD % 2 + b"ok"))
    probe = ProbeSpec("/live?x=1", health.port, interval=0.1, host="models.example.com:8443")
    slot = SlotEndpoints("v1", ("127.0.0.1",), probe, active=True, port=requests.port)
    known = ProxyApp("app", Route(rig.listen), {"blue": slot})
    rig.edge.apply([known], PROGRESS)
    rig.endpoints.wait_up("app", "blue", 1, timeout=10, cancelled=go_on)
    # Parked, nobody on the host is asked on the port of the health path; registered again, the replica is.
    rig.endpoints.park("app", "blue")
    until(lambda: not up(rig, "app"), "the slot is down")
    count = len(health.times)
    time.sleep(0.5)
    assert len(health.times) == count
    rig.endpoints.register("app", "blue", slot)
    rig.endpoints.wait_up("app", "blue", 1, timeout=10, cancelled=go_on)
    request = health.requests[-1]
    assert request.startswith(b"GET /live?x=1 HTTP/1.1\r\n")
    assert fields(request, "host") == ["models.example.com:8443"]
    assert fields(request, "user-agent") == ["deployctl"]
    assert requests.times == []


def test_a_server_that_is_down_is_not_asked_more_often_than_configured(
    rig: RealRig, serve: Callable[..., Checked]
) -> None:
    server = serve(sent(b"HTTP/1.1 503 Loading\r\nContent-Length: 0\r\n\r\n", pause=0))
    rig.edge.apply([app(rig, "app", ProbeSpec("/", server.port, interval=0.4))], PROGRESS)
    until(lambda: len(server.times) > 5, "the server was checked six times")
    pauses = [later - earlier for earlier, later in pairwise(server.times)]
    assert min(pauses) > 0.35


MODEL = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
started = time.monotonic()
class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        ready = time.monotonic() - started > 3
        if self.path == "/healthz":
            print("asked", round(time.monotonic() - started, 3), self.headers["Host"], flush=True)
        body = b"ok" if ready else b"loading"
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
HTTPServer(("", 8080), Model).serve_forever()
"""


def test_a_starting_version_is_asked_once_in_each_interval(app: App) -> None:
    """By both, the probes and the proxy, and with the same Host."""
    (app.folder / "server.py").write_text(MODEL)
    app.config["health"] |= {"interval": "400ms", "host": "models.example.com"}
    app.release("v1")
    time.sleep(3)
    rows = [line.split() for line in app.run("logs", "v1").stdout.splitlines() if "asked" in line]
    times = [float(row[row.index("asked") + 1]) for row in rows]
    assert {row[-1] for row in rows} == {"models.example.com"}
    assert len(times) > 8
    # From the first answer on; the proxy's first check may come right after the last probe.
    pauses = sorted(later - earlier for earlier, later in pairwise(times))
    assert sum(pause < 0.35 for pause in pauses) <= 1
    assert len(times) <= (times[-1] - times[0]) / 0.4 + 2
