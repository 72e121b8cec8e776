"""The prober against real sockets, well-behaved and hostile."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest

from orchestrator.adapters.http import prober
from orchestrator.adapters.http.prober import HttpProber
from orchestrator.adapters.http.request import MAX_BODY
from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.presets import resolve
from orchestrator.domain.health.probe import ProbeSpec, Ready, Reply, Target
from orchestrator.domain.health.tally import Tally
from orchestrator.errors import EngineError, Interrupted, ProbeFailed
from tests.fakes.progress import FakeProgress

Script = Callable[["Server", socket.socket, int], None]


class Server:
    """Runs a script for each connection after reading its request. Counts connections and bytes sent."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self.script = script
        self.connections = 0
        self.sent = 0
        self.stopping = threading.Event()
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(0.01)
        self.port: int = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            with suppress(TimeoutError):
                connection = self.listener.accept()[0]
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection, self.connections))
                self.threads.append(thread)
                thread.start()
        self.listener.close()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            self.requests.append(connection.recv(65536))
            self.script(self, connection, number)
            connection.shutdown(socket.SHUT_WR)

    def send(self, connection: socket.socket, data: bytes) -> None:
        self.sent += connection.send(data)

    def drip(self, connection: socket.socket, data: bytes) -> None:
        """A byte per 100 ms: no single read of the client ever times out."""
        for byte in data:
            if self.stopping.wait(0.1):
                return
            self.send(connection, bytes([byte]))

    def close(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(timeout=6)


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(script: Script, port: int = 0) -> Server:
        servers.append(Server(script, port))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def answer(status: int, body: bytes = b"ok", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def always(data: bytes) -> Script:
    return lambda server, connection, _: server.send(connection, data)


def hang(server: Server, _: socket.socket, __: int) -> None:
    server.stopping.wait(10)


def drip_header(server: Server, connection: socket.socket, _: int) -> None:
    server.drip(connection, answer(200))


def drip_body(server: Server, connection: socket.socket, _: int) -> None:
    server.send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
    server.drip(connection, b"x" * 999)


def spec(server: Server | int, **fields: object) -> ProbeSpec:
    port = server if isinstance(server, int) else server.port
    plain = ProbeSpec("/healthz", port, interval=0.05, timeout=1.0, deadline=5.0)
    return replace(plain, **fields)  # type: ignore[arg-type]


def probe(server: Server | int, **fields: object) -> Reply:
    return HttpProber().probe("127.0.0.1", spec(server, **fields))


def wait(server: Server | int, alive: Callable[[Target], str | None] = lambda _: None, **fields: object) -> None:
    targets = [Target("m-1", "127.0.0.1")]
    HttpProber().wait_ready(targets, spec(server, **fields), alive=alive, progress=FakeProgress())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Stopwatch:
    def __enter__(self) -> Stopwatch:
        self.started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.started


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """The thread of a probe ends with it, or one timeout later."""
    yield
    ends = time.monotonic() + 2
    while mine := [t.name for t in threading.enumerate() if t.name.startswith(("probe ", "wait for "))]:
        assert time.monotonic() < ends, mine
        time.sleep(0.01)


# --- one probe ---------------------------------------------------------------------------------------


def test_an_answer(serve: Serve) -> None:
    server = serve(always(answer(200, b'{"status": "ok"}')))
    reply = probe(server, path="/v2/health/ready?full=1")
    assert (reply.status, reply.body, reply.error) == (200, '{"status": "ok"}', "")
    assert 0 < reply.seconds < 1
    request = server.requests[0].split(b"\r\n")
    assert request[0] == b"GET /v2/health/ready?full=1 HTTP/1.1"
    assert b"Host: 127.0.0.1:%d" % server.port in request


def test_a_body_that_is_not_text_is_read_all_the_same(serve: Serve) -> None:
    assert probe(serve(always(answer(200, b"\xff\xfeok")))).body.endswith("ok")


def test_refused() -> None:
    reply = probe(free_port())
    assert (reply.status, reply.error, reply.refused) == (None, "connection refused", True)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (hang, "no answer within 0.4 s"),
        (drip_header, "no answer within 0.4 s"),
        (drip_body, "the answer did not end within 0.4 s"),
    ],
)
def test_the_limit_holds_for_the_whole_probe(serve: Serve, script: Script, error: str) -> None:
    server = serve(script)
    with Stopwatch() as watch:
        reply = probe(server, timeout=0.4)
    assert (reply.status, reply.error, reply.refused) == (None, error, False)
    assert 0.35 < watch.seconds < 0.9


def test_an_address_that_swallows_packets() -> None:
    # A full backlog: the kernel drops further connections, as for the address of a removed container.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        try:
            with Stopwatch() as watch:
                reply = probe(port, timeout=0.3)
        finally:
            for filler in fillers:
                filler.close()
    assert reply.error == "no connection within 0.3 s"
    assert watch.seconds < 0.6


def test_an_endless_body_costs_neither_memory_nor_time(serve: Serve) -> None:
    def gigabyte(server: Server, connection: socket.socket, _: int) -> None:
        server.send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        block = b"x" * 65536
        while server.sent < 1_000_000_000:
            server.send(connection, block)

    server = serve(gigabyte)
    probe(server, timeout=0.2)  # the first one imports
    tracemalloc.start()
    try:
        reply = probe(server)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply.status == 200
    assert len(reply.body) == MAX_BODY
    assert not reply.kept_open
    assert peak < 2_000_000
    assert server.sent < 50_000_000  # two probes; nearly all of it is in buffers of the kernel


def test_a_long_answer_is_read_to_its_end(serve: Serve) -> None:
    broken: list[OSError] = []

    def pieces(server: Server, connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")
        try:
            for _ in range(50):
                connection.sendall(b"x" * 10_000)
                time.sleep(0.002)
        except OSError as error:
            broken.append(error)

    reply = probe(serve(pieces))
    assert (reply.status, len(reply.body)) == (200, MAX_BODY)
    assert broken == []


@pytest.mark.parametrize("body", [b"ok", b""])
def test_a_server_that_keeps_the_connection_open_is_recognized(serve: Serve, body: bytes) -> None:
    def keep(server: Server, connection: socket.socket, _: int) -> None:
        server.send(connection, answer(200, body))
        server.stopping.wait(10)

    keeping, closing = serve(keep), serve(always(answer(200, body)))
    with Stopwatch() as watch:
        reply = probe(keeping)
    assert (reply.status, reply.body, reply.kept_open) == (200, body.decode(), True)
    assert watch.seconds < 0.9
    assert probe(closing).kept_open is False


def test_the_wait_says_whether_all_servers_close_connections(serve: Serve) -> None:
    def keep(server: Server, connection: socket.socket, _: int) -> None:
        server.send(connection, answer(200))
        server.stopping.wait(10)

    for script, closed in ((always(answer(200)), True), (keep, False)):
        port = serve(script).port
        found = HttpProber().wait_ready(
            [Target("m-1", "127.0.0.1")], spec(port), alive=lambda _: None, progress=FakeProgress()
        )
        assert found == Ready("/healthz", closed)


@pytest.mark.parametrize("line", [b"X-More: again\r\n", b"x" * 1000], ids=["lines", "one line"])
def test_endless_headers_cost_neither_memory_nor_time(serve: Serve, line: bytes) -> None:
    def headers(server: Server, connection: socket.socket, _: int) -> None:
        server.send(connection, b"HTTP/1.1 200 OK\r\n")
        while not server.stopping.is_set():
            server.send(connection, line * 100)

    server = serve(headers)
    with Stopwatch() as watch:
        reply = probe(server, timeout=2.0)
    assert reply.status is None
    assert reply.error
    assert watch.seconds < 2.3
    assert server.sent < 50_000_000


def test_endless_interim_answers_end_with_the_limit(serve: Serve) -> None:
    def interim(server: Server, connection: socket.socket, _: int) -> None:
        while not server.stopping.is_set():
            server.send(connection, b"HTTP/1.1 102 Processing\r\n\r\n")
            time.sleep(0.01)

    with Stopwatch() as watch:
        assert probe(serve(interim), timeout=0.3).error == "no answer within 0.3 s"
    assert watch.seconds < 0.6


def test_a_compressed_body_is_not_unpacked(serve: Serve) -> None:
    server = serve(always(answer(200, b"\x1f\x8b-not-really-gzip", b"Content-Encoding: gzip")))
    assert "not-really-gzip" in probe(server).body
    assert b"Accept-Encoding: identity" in server.requests[0]


@pytest.mark.parametrize(
    "location", [b"/healthz", b"http://127.0.0.1:1/", b"https://example.invalid/", b"http://[bad", b"\xff"]
)
def test_redirects_are_not_followed(serve: Serve, location: bytes) -> None:
    server = serve(always(answer(302, b"", b"Location: " + location)))
    reply = probe(server)
    assert reply.status == 302 or reply.error
    assert server.connections == 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not an HTTP answer: "),
        (b"\x15\x03\x01\x00\x02\x02\x50", "not an HTTP answer: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", "the answer broke off: "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the answer broke off: "),
    ],
)
def test_what_is_not_an_answer(serve: Serve, data: bytes, error: str) -> None:
    script = always(data) if data else lambda *_: None
    reply = probe(serve(script))
    assert reply.status is None
    assert reply.error.startswith(error)


def test_a_reset_connection(serve: Serve) -> None:
    def reset(_: Server, connection: socket.socket, __: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.close()

    assert probe(serve(reset)).error == "closed without an answer"


def test_a_proxy_in_the_environment_does_not_matter(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/rubbish")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert probe(serve(always(answer(200)))).status == 200


@pytest.mark.parametrize("address", ["", "no such host", "host.invalid", "[", "a" * 300])
def test_an_address_that_makes_no_sense_is_an_answer_too(address: str) -> None:
    reply = HttpProber().probe(address, spec(1, timeout=2.0))
    assert reply.status is None
    assert reply.error


def test_probes_share_nothing(serve: Serve) -> None:
    server = serve(always(answer(200, b"ok", b"Set-Cookie: a=b", b"Connection: keep-alive")))
    prober = HttpProber()
    for _ in range(3):
        prober.probe("127.0.0.1", spec(server))
    assert server.connections == 3
    assert not any(b"cookie" in request.lower() for request in server.requests)


def test_a_probe_is_cheap(serve: Serve) -> None:
    server = serve(always(answer(200)))
    prober = HttpProber()
    prober.probe("127.0.0.1", spec(server))
    seconds = min(prober.probe("127.0.0.1", spec(server)).seconds for _ in range(10))
    assert seconds < 0.02


def test_importing_the_prober_imports_no_http_library() -> None:
    code = "import sys, orchestrator.adapters.http.prober; print({'httpx', 'tenacity'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# --- waiting until ready -----------------------------------------------------------------------------


def test_the_http_library_may_be_loaded_by_many_probes_at_once() -> None:
    code = """
import sys, threading
from orchestrator.loading import load_httpx
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
failed = []

def load():
    start.wait()
    try:
        load_httpx()
        sys.modules["httpx"].Client
    except BaseException as error:
        failed.append(repr(error))

threads = [threading.Thread(target=load) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_ready_after_answers_in_a_row(serve: Serve) -> None:
    server = serve(lambda s, c, number: s.send(c, answer(503 if number < 3 else 200)))
    wait(server, successes=2)
    assert server.connections == 4


def test_one_good_answer_in_three_is_never_a_row_of_two(serve: Serve) -> None:
    server = serve(lambda s, c, number: s.send(c, answer(200 if number % 3 == 0 else 503, b"loading")))
    with Stopwatch() as watch, pytest.raises(ProbeFailed) as caught:
        wait(server, successes=2, deadline=0.6)
    assert caught.value.message == "m-1 did not become ready within 0.6 s"
    assert "probes, last: " in caught.value.why
    assert caught.value.why.endswith("1 good answer in a row of 2 needed")
    assert 0.5 < watch.seconds < 1.2


def test_a_server_that_starts_to_listen_is_noticed_at_once(serve: Serve) -> None:
    port = free_port()
    timer = threading.Timer(0.7, serve, args=(always(answer(200)), port))
    timer.start()
    with Stopwatch() as watch:
        wait(port, successes=1, interval=30.0, deadline=20.0)
    timer.join()
    assert 0.6 < watch.seconds < 1.0


def drip_slowly(server: Server, connection: socket.socket, _: int) -> None:
    """A byte a second."""
    for byte in answer(200):
        server.send(connection, bytes([byte]))
        if server.stopping.wait(1.0):
            return


def gigabyte(server: Server, connection: socket.socket, _: int) -> None:
    server.send(connection, b"HTTP/1.1 503 X\r\nContent-Length: 1000000000\r\n\r\n")
    block = b"x" * 65536
    for _ in range(1_000_000_000 // len(block)):
        server.send(connection, block)


def flap(server: Server, connection: socket.socket, number: int) -> None:
    server.send(connection, answer(200 if number % 2 else 503, b"flapping"))


def every_third(server: Server, connection: socket.socket, number: int) -> None:
    server.send(connection, answer(200 if number % 3 == 0 else 503, b"loading"))


HOSTILE: dict[str, tuple[Script, str]] = {
    "flaps": (flap, "200|503"),
    "answers every third time": (every_third, "200|503"),
    "hangs": (hang, "no answer within"),
    "drips a byte a second": (drip_slowly, "no answer within"),
    "answers a gigabyte": (gigabyte, "503"),
    "redirects to itself": (always(answer(302, b"", b"Location: /healthz")), "302"),
    "closes without an answer": (lambda *_: None, "closed without an answer"),
}


@pytest.mark.parametrize(("script", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_endpoint_gets_its_verdict_in_time_and_in_little_memory(
    serve: Serve, script: Script, reason: str
) -> None:
    server = serve(script)
    probe(server, timeout=0.2)  # the first one imports
    tracemalloc.start()
    try:
        with Stopwatch() as watch, pytest.raises(ProbeFailed) as caught:
            wait(server, successes=2, timeout=0.5, deadline=0.8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.message == "m-1 did not become ready within 0.8 s"
    assert re.search(f"last: .*({reason})", caught.value.why), caught.value.why
    assert 0.7 < watch.seconds < 1.8
    assert peak < 3_000_000


@pytest.mark.parametrize(("script", "timeout"), [(hang, 0.2), (hang, 60.0), (drip_header, 60.0), (drip_body, 60.0)])
def test_the_deadline_holds_whatever_the_server_does(serve: Serve, script: Script, timeout: float) -> None:
    server = serve(script)
    with (
        Stopwatch() as watch,
        pytest.raises(ProbeFailed, match=r"within 0\.5 s: \d probes?, last: .* within"),
    ):
        wait(server, timeout=timeout, deadline=0.5)
    assert watch.seconds < 1.0


def test_the_deadline_holds_while_nothing_listens() -> None:
    with Stopwatch() as watch, pytest.raises(ProbeFailed, match="last: connection refused"):
        wait(free_port(), deadline=0.3)
    assert 0.25 < watch.seconds < 0.8


def test_the_deadline_holds_when_the_engine_hangs() -> None:
    release = threading.Event()

    def stuck(_: Target) -> str | None:
        release.wait(10)
        return None

    try:
        with Stopwatch() as watch, pytest.raises(ProbeFailed, match=r"within 0\.5 s"):
            wait(free_port(), stuck, deadline=0.5)
    finally:
        release.set()
    assert watch.seconds < 1.5


def test_an_exited_container_ends_the_wait() -> None:
    started = time.monotonic()

    def alive(target: Target) -> str | None:
        return f"{target.name} exited with code 1" if time.monotonic() - started > 0.2 else None

    with Stopwatch() as watch, pytest.raises(ProbeFailed) as caught:
        wait(free_port(), alive)
    assert "m-1 exited with code 1" in caught.value.why
    assert watch.seconds < 0.8


def test_an_exited_container_ends_a_long_pause(serve: Serve) -> None:
    server = serve(always(answer(503)))
    with Stopwatch() as watch, pytest.raises(ProbeFailed, match="restarted"):
        wait(server, lambda _: "restarted", interval=60.0, deadline=60.0)
    assert watch.seconds < 0.8


def test_a_connection_that_breaks_asks_for_the_container_at_once(serve: Serve) -> None:
    server = serve(lambda *_: None)
    with Stopwatch() as watch, pytest.raises(ProbeFailed, match="exited"):
        wait(server, lambda _: "exited")
    assert watch.seconds < 0.5
    assert server.connections == 1


def test_a_container_that_restarted_meanwhile_is_not_ready(serve: Serve) -> None:
    with pytest.raises(ProbeFailed, match="restarted"):
        wait(serve(always(answer(200))), lambda _: "restarted", successes=1)


def test_the_container_is_not_asked_about_too_often() -> None:
    asked: list[float] = []

    def alive(_: Target) -> str | None:
        asked.append(time.monotonic())
        return None

    with pytest.raises(ProbeFailed):
        wait(free_port(), alive, deadline=0.7)
    assert 2 <= len(asked) <= 5


def test_an_error_of_the_engine_comes_through() -> None:
    def alive(_: Target) -> str | None:
        raise OSError("the engine is down")

    with pytest.raises(OSError, match="the engine is down"):
        wait(free_port(), alive)


def test_a_failed_setup_ends_the_wait(serve: Serve) -> None:
    def cog(server: Server, connection: socket.socket, number: int) -> None:
        status = b"STARTING" if number < 3 else b"SETUP_FAILED"
        server.send(connection, answer(200, b'{"status": "%s"}' % status))

    preset = resolve("cog", None)
    server = serve(cog)
    with (
        Stopwatch() as watch,
        pytest.raises(ProbeFailed, match=r"will not become ready: 3 probes.*SETUP_FAILED"),
    ):
        wait(server, path=preset.path, body=preset.body, failed_body=preset.failed_body)
    assert watch.seconds < 1.0


def test_a_busy_cog_is_ready(serve: Serve) -> None:
    preset = resolve("cog", None)
    wait(serve(always(answer(200, b'{"status":"BUSY"}'))), body=preset.body, failed_body=preset.failed_body)


def test_all_targets_are_waited_for_together(serve: Serve) -> None:
    seen: list[str] = []

    def slow(server: Server, connection: socket.socket, _: int) -> None:
        time.sleep(0.3)
        server.send(connection, answer(200))

    server = serve(slow)
    targets = [Target(f"m-{n}", "127.0.0.1") for n in range(4)]
    with Stopwatch() as watch:
        HttpProber().wait_ready(
            targets,
            spec(server, successes=1),
            alive=lambda target: seen.append(target.name),
            progress=FakeProgress(),
        )
    assert watch.seconds < 0.9
    assert set(seen) == {"m-0", "m-1", "m-2", "m-3"}


def test_no_targets_are_ready_at_once() -> None:
    HttpProber().wait_ready([], spec(1), alive=lambda _: None, progress=FakeProgress())


def test_one_failed_target_ends_the_wait_for_all(serve: Serve) -> None:
    server = serve(always(answer(503)))
    targets = [Target("m-1", "127.0.0.1"), Target("m-2", "127.0.0.1")]
    with Stopwatch() as watch, pytest.raises(ProbeFailed, match="m-2 did not become ready: exited"):
        HttpProber().wait_ready(
            targets,
            spec(server),
            alive=lambda target: "exited" if target.name == "m-2" else None,
            progress=FakeProgress(),
        )
    assert watch.seconds < 0.8
    time.sleep(0.1)
    connections = server.connections
    time.sleep(0.2)
    assert server.connections == connections  # no more probes


def test_an_interruption_is_noticed_while_a_probe_hangs(serve: Serve) -> None:
    started = time.monotonic()
    calls: list[float] = []

    def cancelled() -> None:
        assert threading.current_thread() is threading.main_thread()
        calls.append(time.monotonic())
        if calls[-1] - started > 0.4:
            raise Interrupted("interrupted", signal=2)

    server = serve(hang)
    with Stopwatch() as watch, pytest.raises(Interrupted):
        HttpProber().wait_ready(
            [Target("m-1", "127.0.0.1")], spec(server), alive=lambda _: None, progress=FakeProgress(cancelled)
        )
    assert watch.seconds < 0.6
    assert max(b - a for a, b in pairwise(calls)) < 0.2


def test_progress_is_told_about_once_a_second() -> None:
    progress = FakeProgress()
    with pytest.raises(ProbeFailed):
        HttpProber().wait_ready(
            [Target("m-1", "127.0.0.1")],
            spec(free_port(), deadline=1.3),
            alive=lambda _: None,
            progress=progress,
        )
    assert progress.details == ["m-1: not ready after 1 s: connection refused"]


def test_an_injected_sleep_and_clock_make_the_wait_instant() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        time.sleep(0)

    prober = HttpProber(sleep=sleep, clock=lambda: now[0])
    with Stopwatch() as watch, pytest.raises(ProbeFailed, match="within 20 s"):
        prober.wait_ready(
            [Target("m-1", "127.0.0.1")],
            spec(free_port(), deadline=20.0),
            alive=lambda _: None,
            progress=FakeProgress(),
        )
    assert now[0] >= 20.0
    assert watch.seconds < 5.0


def test_closing_is_harmless() -> None:
    prober = HttpProber()
    prober.close()
    prober.close()


# --- causes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "DIAGNOSE_INTERVAL", 0.05)


def diagnosed(server: Server | int, *causes: Cause | None, **fields: object) -> ProbeFailed:
    """Waits with these causes one after the other, the last one again and again; returns the error."""
    left = list(causes)

    def diagnose(target: Target, tally: Tally) -> Cause | None:
        assert threading.current_thread() is not threading.main_thread()
        assert tally.reply is not None
        return left.pop(0) if len(left) > 1 else left[0]

    with pytest.raises(ProbeFailed) as caught:
        HttpProber().wait_ready(
            [Target("m-1", "127.0.0.1")],
            spec(server, **fields),
            alive=lambda _: None,
            progress=FakeProgress(),
            diagnose=diagnose,
        )
    return caught.value


def test_a_cause_that_stays_ends_the_wait(soon: None) -> None:
    with Stopwatch() as watch:
        error = diagnosed(free_port(), Cause("it sleeps", "wake it", 0.2), deadline=20.0)
    assert 0.2 < watch.seconds < 3
    assert error.message == "m-1 will not become ready"
    assert error.why.startswith("it sleeps (")
    assert "connection refused" in error.why
    assert error.hint == "wake it"


def test_the_end_of_a_long_pause_is_not_waited_for(soon: None, serve: Serve) -> None:
    with Stopwatch() as watch:
        diagnosed(serve(always(answer(404))), Cause("no path", "name it", 0.0), interval=15.0, deadline=20.0)
    assert watch.seconds < 3


def test_a_cause_that_may_pass_waits_for_the_deadline_and_is_named(soon: None) -> None:
    error = diagnosed(free_port(), Cause("it sleeps", "wake it"), deadline=0.6)
    assert error.message == "m-1 did not become ready within 0.6 s"
    assert error.why.startswith("it sleeps (")
    assert error.hint == "wake it; if it only needs more time, increase health.deadline"


def test_a_cause_that_changes_starts_again(soon: None) -> None:
    one, two = Cause("one", "1", 0.3), Cause("two", "2", 0.3)
    error = diagnosed(free_port(), *[one, two, None] * 20, None, deadline=1.0)
    assert "did not become ready within 1 s" in error.message


def test_an_engine_that_does_not_answer_the_diagnosis_changes_nothing(soon: None, serve: Serve) -> None:
    def fails(target: Target, tally: Tally) -> Cause | None:
        raise EngineError("no")

    def slow(server: Server, connection: socket.socket, number: int) -> None:
        server.send(connection, answer(200 if number > 3 else 503))

    HttpProber().wait_ready(
        [Target("m-1", "127.0.0.1")],
        spec(serve(slow), interval=0.1),
        alive=lambda _: None,
        progress=FakeProgress(),
        diagnose=fails,
    )


def test_the_progress_names_the_cause(monkeypatch: pytest.MonkeyPatch, soon: None) -> None:
    monkeypatch.setattr(prober, "REPORT_INTERVAL", 0.3)
    progress = FakeProgress()
    with pytest.raises(ProbeFailed):
        HttpProber().wait_ready(
            [Target("m-1", "127.0.0.1")],
            spec(free_port(), deadline=0.9),
            alive=lambda _: None,
            progress=progress,
            diagnose=lambda target, tally: Cause("it sleeps", "wake it"),
        )
    assert progress.details[-1].endswith("connection refused; it sleeps")


def test_a_redirect_says_where_it_leads(serve: Serve) -> None:
    reply = probe(serve(always(answer(302, b"", b"Location: /login"))))
    assert (reply.status, reply.location) == (302, "/login")


# --- protocols --------------------------------------------------------------------------------------------------------


def spoken(server: Server) -> str:
    return HttpProber().protocol("127.0.0.1", server.port, 1.0)


def test_tls_is_recognized_by_a_handshake_and_by_an_alert(serve: Serve) -> None:
    assert spoken(serve(always(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76"))) == "tls"
    assert spoken(serve(always(b"\x15\x03\x01\x00\x02\x02\x28"))) == "tls"


def test_a_real_tls_server_is_recognized() -> None:
    # Without a certificate it refuses every client, as TLS servers do.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_one() -> None:
            with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.recv(1)

        thread = threading.Thread(target=serve_one)
        thread.start()
        assert HttpProber().protocol("127.0.0.1", listener.getsockname()[1], 2.0) == "tls"
        thread.join(5)


def test_http2_is_recognized_by_its_settings(serve: Serve) -> None:
    assert spoken(serve(always(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)))) == "h2"


@pytest.mark.parametrize("script", [always(b"SSH-2.0-OpenSSH\r\n"), always(answer(400)), always(b""), hang])
def test_other_servers_speak_nothing_known(serve: Serve, script: Script) -> None:
    with Stopwatch() as watch:
        assert spoken(serve(script)) == ""
    assert watch.seconds < 3


def test_no_server_speaks_nothing() -> None:
    assert HttpProber().protocol("127.0.0.1", free_port(), 1.0) == ""
