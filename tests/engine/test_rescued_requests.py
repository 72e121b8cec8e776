"""The shield in a real HAProxy: which requests that the newer version fails are answered by the older one."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.haproxy import container
from orchestrator.adapters.haproxy.backends import LARGEST_BODY
from orchestrator.domain.traffic.counted import between
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from tests.engine.contracts.proxies import APP, PROGRESS, VERSIONS, RealRig, go_on
from tests.engine.harness import until
from tests.engine.upgrading import older_image

pytestmark = pytest.mark.engine

PATIENCE = 0.5
SHIELDED = TrafficState("green", shield=True, patience=PATIENCE)


class Model(ThreadingHTTPServer):
    """Answers with its version and the length of the body. The newer version does what a request asks for in X-Do."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], slot: Slot) -> None:
        self.asked: list[str] = []
        self.connections: list[socket.socket] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError):
                    super().handle_one_request()

            def answer(self) -> None:
                if self.path == "/healthz":
                    self.reply(200, b"well")
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                model.asked.append(f"{self.command} {len(body)}")
                do = self.headers.get("X-Do", "") if slot == "green" else ""
                if do.isdecimal():
                    self.reply(int(do), b"v2 fails")
                elif do == "close":
                    self.close_connection = True
                elif do == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.close_connection = True
                elif do == "rubbish":
                    self.wfile.write(b"what?\r\n\r\n")
                    self.close_connection = True
                elif do == "hang":
                    time.sleep(3 * PATIENCE)
                    self.reply(200, b"late")
                elif do == "upgrade":
                    self.send_response(101)
                    self.send_header("Connection", "Upgrade")
                    self.send_header("Upgrade", "websocket")
                    # RFC 6455, section 4.2.2.
                    key = (self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
                    self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
                    self.end_headers()
                    self.close_connection = True
                elif do == "continue":
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    self.reply(200, f"{VERSIONS[slot]} {len(body)}".encode())
                elif do == "drip":
                    self.pause(b"slow")
                elif do == "half":
                    self.send_response(200)
                    self.send_header("Content-Length", "100")
                    self.end_headers()
                    self.wfile.write(b"half")
                    # HAProxy 3.0 takes some answers that end at once for requests that the client has left.
                    time.sleep(0.05)
                    self.close_connection = True
                elif body == b"pause":
                    self.pause(f"{VERSIONS[slot]} {len(body)}".encode())
                else:
                    self.reply(200, f"{VERSIONS[slot]} {len(body)}".encode())

            do_GET = do_HEAD = do_POST = do_OPTIONS = do_PUT = do_PATCH = do_DELETE = answer

            def pause(self, text: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text[:2])
                time.sleep(3 * PATIENCE)
                self.wfile.write(text[2:])

            def reply(self, status: int, text: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            def log_message(self, *arguments: object) -> None:
                """Logs nothing."""

        super().__init__(address, Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores health checks that the proxy aborts."""

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def stop(self) -> None:
        """Ends it as the end of its process does: with the connections that the proxy keeps."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        self.server_close()


class Shield:
    """A proxy with both versions: v2 in green is live."""

    def __init__(self, folder: Path) -> None:
        self.rig = RealRig(folder)
        self.models: dict[Slot, Model] = {}
        for slot in VERSIONS:
            self.start(slot)
        self.rig.edge.apply([self.rig.app()], PROGRESS)
        for slot in VERSIONS:
            self.rig.endpoints.wait_up(APP, slot, 1, timeout=10, cancelled=go_on)

    def start(self, slot: Slot) -> None:
        self.models[slot] = Model((self.rig.address(slot), self.rig.port), slot)

    def connect(self) -> socket.socket:
        host, _, port = self.rig.listen.partition(":")
        return socket.create_connection((host, int(port)), timeout=20)

    def ask(self, do: str = "", method: str = "POST", body: bytes = b"x" * 10) -> tuple[int, str, str]:
        """The status of the answer, its body, and the version in its header."""
        host, _, port = self.rig.listen.partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            connection.request(method, "/predict", body, {"X-Do": do})
            reply = connection.getresponse()
            return reply.status, reply.read().decode(), reply.headers["X-Model-Version"]
        finally:
            connection.close()

    def close(self) -> None:
        for model in self.models.values():
            model.stop()
        self.rig.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shield]:
    folder = tmp_path_factory.mktemp("shield") / "proxy"
    folder.mkdir()
    shield = Shield(folder)
    try:
        yield shield
    finally:
        shield.close()


@pytest.fixture
def shield(made: Shield) -> Shield:
    made.rig.traffic.apply(APP, SHIELDED)
    for model in made.models.values():
        model.asked.clear()
    return made


FAILURES = ["500", "502", "503", "504", "close", "reset", "rubbish", "hang"]


def test_what_the_newer_version_answers_is_passed_on(shield: Shield) -> None:
    for do in ("", "404", "501", "422"):
        status, _, version = shield.ask(do)
        assert (status, version) == (int(do) if do.isdecimal() else 200, "v2")
    assert shield.models["blue"].asked == []


@pytest.mark.parametrize("do", FAILURES)
def test_what_it_fails_the_older_one_answers(shield: Shield, do: str) -> None:
    before = shield.rig.endpoints.counters(APP)
    began = time.monotonic()
    assert shield.ask(do) == (200, "v1 10", "v1")
    assert time.monotonic() - began < (PATIENCE if do == "hang" else 0) + 0.4
    traffic = between(before, shield.rig.endpoints.counters(APP), "green")
    assert (traffic.requests, traffic.failures, traffic.rescued, traffic.lost) == (1, 1, 1, 0)
    assert between(before, shield.rig.endpoints.counters(APP), "blue").requests == 0


@pytest.mark.parametrize("state", [SHIELDED, SHIELDED.unshielded], ids=["shielded", "unshielded"])
def test_a_websocket_is_an_answer_and_continue_is_none(shield: Shield, state: TrafficState) -> None:
    shield.rig.traffic.apply(APP, state)
    before = shield.rig.endpoints.counters(APP)
    host, _, port = shield.rig.listen.partition(":")
    head = "GET /predict HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Do: upgrade\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as offered:
        offered.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
        assert offered.recv(12) == b"HTTP/1.1 101"
    assert shield.ask("continue")[0] == 200
    traffic = between(before, shield.rig.endpoints.counters(APP), "green")
    assert (traffic.requests, traffic.failures) == (2, 0)


@pytest.mark.parametrize("do", FAILURES)
def test_without_the_shield_clients_see_it(shield: Shield, do: str) -> None:
    shield.rig.traffic.apply(APP, SHIELDED.unshielded)
    status, body, version = shield.ask(do)
    assert version == "v2"
    # Without patience, an answer may be late.
    assert (status, body) == (200, "late") if do == "hang" else status >= 500
    assert shield.models["blue"].asked == []


def test_a_connection_that_is_refused_costs_no_request(shield: Shield) -> None:
    shield.models["green"].stop()
    try:
        for _ in range(20):
            # At first the proxy's checks have not noticed.
            began = time.monotonic()
            assert shield.ask() == (200, "v1 10", "v1")
            assert time.monotonic() - began < 0.5
            time.sleep(0.1)
        assert not shield.rig.endpoints.health(APP, "green")[0].up
    finally:
        shield.start("green")
    until(lambda: shield.rig.endpoints.health(APP, "green")[0].up, "green is up")
    assert shield.ask() == (200, "v2 10", "v2")


@pytest.mark.parametrize(
    ("method", "repeated"),
    [("GET", True), ("HEAD", True), ("POST", True), ("OPTIONS", True), ("PUT", False), ("DELETE", False)],
)
def test_only_the_configured_methods_are_asked_again(shield: Shield, method: str, repeated: bool) -> None:
    status, _, version = shield.ask("500", method, b"")
    assert (status, version) == ((200, "v1") if repeated else (500, "v2"))
    assert shield.models["blue"].asked == ([f"{method} 0"] if repeated else [])


@pytest.mark.parametrize(("size", "repeated"), [(0, True), (LARGEST_BODY, True), (LARGEST_BODY + 20_000, False)])
def test_a_body_must_fit_in_the_buffer(shield: Shield, size: int, repeated: bool) -> None:
    status, body, version = shield.ask("500", body=b"x" * size)
    assert (status, body, version) == ((200, f"v1 {size}", "v1") if repeated else (500, "v2 fails", "v2"))
    # The newer version has had all of it.
    assert shield.models["green"].asked == [f"POST {size}"]


def test_a_larger_body_is_passed_on_as_a_whole(shield: Shield) -> None:
    assert shield.ask(body=b"x" * 1_000_000) == (200, "v2 1000000", "v2")


@pytest.mark.parametrize("size", [LARGEST_BODY, 200_000])
def test_a_client_may_take_longer_to_send_than_the_patience(shield: Shield, size: int) -> None:
    with shield.connect() as connection:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + b"x" * (size // 2))
        for piece in (size // 2 - 1, 1):
            time.sleep(2 * PATIENCE)
            connection.sendall(b"x" * piece)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        assert (reply.status, reply.read()) == (200, f"v2 {size}".encode())


@pytest.mark.parametrize(("method", "size"), [("PUT", 10), ("POST", LARGEST_BODY + 1)])
def test_what_cannot_be_repeated_has_as_much_time_as_without_the_shield(shield: Shield, method: str, size: int) -> None:
    assert shield.ask("hang", method, b"x" * size) == (200, "late", "v2")


def test_an_answer_that_has_begun_may_pause_for_longer_than_the_patience(shield: Shield) -> None:
    before = shield.rig.endpoints.counters(APP)
    assert shield.ask("drip") == (200, "slow", "v2")
    assert shield.models["blue"].asked == []
    traffic = between(before, shield.rig.endpoints.counters(APP), "green")
    assert (traffic.requests, traffic.failures) == (1, 0)


def test_a_pause_of_the_older_version_does_not_end_its_answer(shield: Shield) -> None:
    assert shield.ask("500", body=b"pause") == (200, "v1 5", "v1")


def test_the_rules_hold_on_haproxy_2_6(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "image_tag", older_image)
    (tmp_path / "proxy").mkdir()
    older = Shield(tmp_path / "proxy")
    try:
        program = older.rig.edge.program()
        assert program is not None
        assert program.name.startswith("HAProxy 2.6.")
        older.rig.traffic.apply(APP, SHIELDED)
        assert older.ask() == (200, "v2 10", "v2")
        for do in FAILURES:
            assert older.ask(do) == (200, "v1 10", "v1")
        # The only difference: it cannot change the limit once an answer has begun.
        older.models["blue"].asked.clear()
        with pytest.raises(http.client.IncompleteRead):
            older.ask("drip")
        assert older.models["blue"].asked == []
        older.rig.traffic.apply(APP, SHIELDED.unshielded)
        assert older.ask("drip") == (200, "slow", "v2")
    finally:
        older.close()


@pytest.mark.parametrize("do", ["500", "close"])
def test_a_body_in_a_packet_of_its_own_is_repeated_as_well(shield: Shield, do: str) -> None:
    with shield.connect() as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: a\r\nX-Do: {do}\r\nContent-Length: 10\r\n\r\n".encode())
        time.sleep(0.2)
        connection.sendall(b"x" * 10)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        assert (reply.status, reply.read()) == (200, b"v1 10")


def test_an_answer_that_has_begun_is_not_asked_for_again(shield: Shield) -> None:
    before = shield.rig.endpoints.counters(APP)
    with pytest.raises(http.client.IncompleteRead):
        shield.ask("half")
    assert shield.models["blue"].asked == []

    def counted() -> tuple[int, int, int]:
        traffic = between(before, shield.rig.endpoints.counters(APP), "green")
        return traffic.failures, traffic.rescued, traffic.lost

    # The client may notice the end before the proxy counts it.
    until(lambda: counted() == (1, 0, 1), "the lost request is counted")


def test_what_both_versions_fail_the_client_sees(shield: Shield) -> None:
    for model in shield.models.values():
        model.stop()
    try:
        began = time.monotonic()
        status, _, _ = shield.ask()
        assert status == 503
        assert time.monotonic() - began < 5
    finally:
        for slot in VERSIONS:
            shield.start(slot)
    for slot in VERSIONS:
        until(lambda slot=slot: shield.rig.endpoints.health(APP, slot)[0].up, f"{slot} is up")  # type: ignore[misc]


def test_a_canary_is_shielded_by_the_live_version(shield: Shield) -> None:
    shield.rig.traffic.apply(APP, TrafficState("blue", "green", 5_000, shield=True, patience=PATIENCE))
    found = [shield.ask("500") for _ in range(40)]
    assert set(found) == {(200, "v1 10", "v1")}
    assert 0 < len(shield.models["green"].asked) < 40
    assert len(shield.models["blue"].asked) == 40
