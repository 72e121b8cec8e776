"""The sample model over HTTP, without an engine."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "compose" / "sample-model"
METRICS = json.loads((SAMPLE / "metrics.json").read_text())
HELD_OUT = json.loads((SAMPLE / "heldout.json").read_text())
BLANK = [0] * 64


class Running:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.errors: list[str] = []

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        connection = self.connect()
        try:
            return send(connection, method, path, body)
        finally:
            connection.close()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


def send(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@contextmanager
def serving(folder: Path) -> Iterator[Running]:
    """Runs the server on a free port, which its first line of output names."""
    environment = {**os.environ, "PORT": "0", "HOST": "127.0.0.1", "MODEL_DIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-B", "-u", str(SAMPLE / "server.py")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        running = Running(process, 0)
        stderr = process.stderr
        reader = threading.Thread(target=lambda: running.errors.extend(stderr))
        reader.start()
        try:
            line = process.stdout.readline()
            started = re.search(r"listens on 127\.0\.0\.1:(\d+)", line)
            assert started, f"no start line but {line!r}"
            running.port = int(started[1])
            yield running
        finally:
            process.kill()
            process.wait()
            reader.join()


@pytest.fixture(scope="module")
def v1() -> Iterator[Running]:
    with serving(SAMPLE / "v1") as running:
        yield running


@pytest.fixture(scope="module")
def v2() -> Iterator[Running]:
    with serving(SAMPLE / "v2") as running:
        yield running


def count_right(running: Running, version: str) -> int:
    connection = running.connect()
    right = 0
    try:
        for pixels, label in zip(HELD_OUT["images"], HELD_OUT["labels"], strict=True):
            status, answer = send(connection, "POST", "/predict", json.dumps({"pixels": pixels}).encode())
            assert status == 200
            assert answer["version"] == version
            assert 0.1 <= answer["confidence"] <= 1
            right += answer["digit"] == label
    finally:
        connection.close()
    return right


def test_both_models_have_the_recorded_accuracy(v1: Running, v2: Running) -> None:
    assert len(HELD_OUT["labels"]) == METRICS["heldout"] == 400
    right = {"v1": count_right(v1, "v1"), "v2": count_right(v2, "v2")}
    for version, count in right.items():
        assert count == METRICS[version]["correct"]
        assert count / METRICS["heldout"] == METRICS[version]["accuracy"]
    assert right["v2"] > right["v1"] > 0.9 * METRICS["heldout"]


def test_health_names_the_version(v1: Running, v2: Running) -> None:
    assert v1.ask("GET", "/healthz") == (200, {"status": "ok", "version": "v1"})
    assert v2.ask("GET", "/healthz?probe=1") == (200, {"status": "ok", "version": "v2"})


def test_v3_starts_says_why_it_cannot_serve_and_stays_unhealthy() -> None:
    with serving(SAMPLE / "v3") as v3:
        for _ in range(3):
            status, answer = v3.ask("GET", "/healthz")
            assert status == 503
            assert answer["status"] == "failing"
            assert "63 inputs" in answer["reason"]
            assert "64 pixels" in answer["reason"]
        status, answer = v3.ask("POST", "/predict", json.dumps({"pixels": BLANK}).encode())
        assert status == 503
        assert "63 inputs" in answer["error"]
        assert v3.stop() == 0
    assert "ERROR model v3 cannot serve: shape mismatch" in "".join(v3.errors)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (None, "cannot read"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "not laid out as expected"),
        ('{"layers": []}', "no layers"),
        (json.dumps({"layers": [{"weights": [BLANK] * 9, "bias": [0] * 9}]}), "9 outputs"),
        (json.dumps({"layers": [{"weights": [BLANK] * 10, "bias": [0] * 9}]}), "9 biases"),
        (json.dumps({"layers": [{"weights": [["x"] * 64] * 10, "bias": [0] * 10}]}), "finite"),
        (json.dumps({"layers": [{"weights": [BLANK] * 10, "bias": [float("nan")] * 10}]}), "finite"),
    ],
)
def test_unusable_weights_make_the_model_unhealthy(tmp_path: Path, weights: str | None, reason: str) -> None:
    if weights is not None:
        (tmp_path / "weights.json").write_text(weights)
    with serving(tmp_path) as running:
        status, answer = running.ask("GET", "/healthz")
    assert status == 503
    assert reason in answer["reason"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"pixels": [', "not JSON"),
        (b"[" * 20_000, "not JSON"),
        (b"[]", '"pixels"'),
        (b'{"image": []}', '"pixels"'),
        (b'{"pixels": "0"}', "must be a list"),
        (json.dumps({"pixels": BLANK[:63]}).encode(), "64 numbers, not 63"),
        (json.dumps({"pixels": [*BLANK[:5], "7", *BLANK[6:]]}).encode(), "pixels[5] is not a number"),
        (json.dumps({"pixels": [*BLANK[:63], True]}).encode(), "pixels[63] is not a number"),
        (json.dumps({"pixels": [17, *BLANK[1:]]}).encode(), "pixels[0] is not between 0 and 16"),
        (json.dumps({"pixels": [-1, *BLANK[1:]]}).encode(), "pixels[0] is not between 0 and 16"),
        (json.dumps({"pixels": [float("nan"), *BLANK[1:]]}).encode(), "pixels[0] is not between 0 and 16"),
        (json.dumps({"pixels": [10**400, *BLANK[1:]]}).encode(), "pixels[0] is not between 0 and 16"),
    ],
)
def test_bad_input_is_refused_and_the_connection_stays_open(v2: Running, body: bytes, reason: str) -> None:
    connection = v2.connect()
    try:
        status, answer = send(connection, "POST", "/predict", body)
        assert status == 400
        assert reason in answer["error"]
        used = connection.sock
        assert used is not None
        status, _ = send(connection, "POST", "/predict", json.dumps({"pixels": BLANK}).encode())
        assert status == 200
        assert connection.sock is used
    finally:
        connection.close()


def test_unknown_paths_and_methods_are_answered_with_json(v2: Running) -> None:
    assert v2.ask("GET", "/nothing") == (404, {"error": "there is no /nothing"})
    assert v2.ask("GET", "/predict") == (405, {"error": "/predict takes POST"})
    assert v2.ask("POST", "/healthz", b"{}") == (405, {"error": "/healthz takes GET, HEAD"})
    assert v2.ask("BREW", "/healthz")[0] == 501


def test_a_body_that_is_too_large_is_refused(v2: Running) -> None:
    with socket.create_connection(("127.0.0.1", v2.port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_sigterm_finishes_open_requests_and_exits_with_0() -> None:
    body = json.dumps({"pixels": HELD_OUT["images"][0]}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(SAMPLE / "v2") as running:
        address = ("127.0.0.1", running.port)
        idle = running.connect()
        with socket.create_connection(address, timeout=10) as client:
            # "100 Continue" shows that the request has begun before the signal is sent.
            client.sendall(head[:-2] + b"Expect: 100-continue\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
            assert send(idle, "GET", "/healthz")[0] == 200
            running.process.send_signal(signal.SIGTERM)
            assert running.process.stdout is not None
            assert "finishing requests under way" in running.process.stdout.readline()
            assert idle.sock is not None
            assert idle.sock.recv(1) == b""  # the idle connection is closed, the busy one is not
            client.sendall(body)
            answer = b""
            while chunk := client.recv(4096):
                answer += chunk
        idle.close()
        assert running.process.wait(timeout=10) == 0
        assert running.process.stdout.readline() == "stopped\n"
    head_lines, _, document = answer.partition(b"\r\n\r\n")
    assert head_lines.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in head_lines
    assert json.loads(document)["digit"] == HELD_OUT["labels"][0]
    assert running.errors == []


def test_sigterm_fails_no_request_of_busy_keep_alive_clients() -> None:
    body = json.dumps({"pixels": HELD_OUT["images"][0]}).encode()
    closed: list[int] = []
    statuses: set[int] = set()
    failures: list[Exception] = []

    def ask_until_closed() -> None:
        connection = running.connect()
        try:
            for answered in range(1, 1_000_000):
                connection.request("POST", "/predict", body)
                response = connection.getresponse()
                response.read()
                statuses.add(response.status)
                if response.getheader("Connection") == "close":
                    closed.append(answered)
                    return
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)
        finally:
            connection.close()

    with serving(SAMPLE / "v2") as running:
        clients = [threading.Thread(target=ask_until_closed) for _ in range(8)]
        for client in clients:
            client.start()
        clients[0].join(0.2)
        assert running.stop() == 0
        for client in clients:
            client.join()
    assert failures == []
    assert statuses == {200}
    assert len(closed) == len(clients)
    assert all(answered > 1 for answered in closed)


def test_an_invalid_port_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-B", str(SAMPLE / "server.py")],
        env={**os.environ, "PORT": "http"},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode == 2
    assert "PORT is not a port" in done.stderr
