"""Versions that never become ready for a cause that can be known: it is named long before the deadline."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.engine.harness import App

# A server on ADDRESS and PORT that answers STATUS to GET PATH, and 200 to the rest, after it has run PREPARE.
SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status} if self.path == "{path}" else 200)
        self.send_header("Location", "/login")
        self.send_header("Content-Length", "0")
        self.end_headers()
{prepare}
ThreadingHTTPServer(("{address}", {port}), Handler).serve_forever()
"""
DEADLINE = 120


def failing(app: App, *, dockerfile: str = "", run: dict[str, Any] | None = None, **more: Any) -> tuple[str, float]:
    """Releases v1 with a server as described; returns its messages after the build, and how long it was waited for."""
    values = {"status": 200, "path": "/none", "prepare": "", "address": "0.0.0.0", "port": 8080, **more}
    app.config["health"] |= {"deadline": f"{DEADLINE}s", "interval": "200ms"}
    app.config["run"] |= run or {}
    app.write("v1")
    (app.folder / "server.py").write_text(SERVER.format(**values))
    with (app.folder / "Dockerfile").open("a") as file:
        file.write(dockerfile)
    started = time.monotonic()
    done = app.run("release", "v1", code=3)
    seconds = time.monotonic() - started
    assert "Traceback (most recent call last)" not in done.stderr.partition("error:")[0]
    assert app.left_over() == []
    assert seconds < DEADLINE / 2, done.stderr
    return done.stderr.partition("error:")[2], seconds


def test_a_server_that_listens_on_the_loopback(app: App) -> None:
    message, _ = failing(app, address="127.0.0.1")
    assert "it listens on 127.0.0.1:8080 only" in message
    assert "next: make the server listen on 0.0.0.0:8080" in message


def test_a_server_on_another_port(app: App) -> None:
    message, _ = failing(app, port=5000)
    assert "it listens on port 5000, not on port 8080" in message
    assert "next: set app.port = 5000" in message


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (404, 'set health.path = "/health"'),
        (401, "set health.path to a path that needs no login"),
        (405, "set health.path to a path that answers GET"),
        (302, "set health.path to a path that needs no login"),
    ],
)
def test_an_answer_that_will_not_change(app: App, status: int, hint: str) -> None:
    message, _ = failing(app, status=status, path="/healthz")
    assert f"HTTP {status}" in message
    assert hint in message
    assert '"GET /healthz' not in message, "the log is shown without the probes"


def test_a_container_that_needs_more_memory(app: App) -> None:
    message, _ = failing(app, prepare="data = bytearray(300 << 20)", run={"memory": "64m"})
    assert "out of memory" in message
    assert "next: increase run.memory (now 64 MiB)" in message


def test_a_worker_that_is_killed_for_its_memory_again_and_again(app: App) -> None:
    prepare = """
import os, sys, time
while True:
    if os.fork() == 0:
        data = bytearray(300 << 20)
        os._exit(0)
    os.wait()
    time.sleep(0.2)
"""
    message, _ = failing(app, prepare=prepare, run={"memory": "64m"})
    assert "for lack of memory" in message
    assert "next: increase run.memory (now 64 MiB)" in message


@pytest.mark.parametrize(("number", "words"), [(11, "SIGSEGV, segmentation fault"), (4, "SIGILL, illegal instruction")])
def test_a_signal_is_named(app: App, number: int, words: str) -> None:
    message, _ = failing(app, prepare=f"import os; os.kill(os.getpid(), {number})")
    assert words in message


def test_a_file_system_that_is_read_only(app: App) -> None:
    message, _ = failing(app, prepare='open("/app/cache", "w")', run={"read_only": True})
    assert "Read-only file system" in message
    assert 'run.tmpfs = ["/tmp"]' in message


def test_a_folder_of_another_user(app: App) -> None:
    dockerfile = "RUN mkdir /data && chown 1000 /data && chmod 700 /data\n"
    message, _ = failing(app, prepare='open("/data/cache", "w")', dockerfile=dockerfile)
    assert "Permission denied: '/data/cache'" in message
    assert 'run.cap_add = ["DAC_OVERRIDE"]' in message


def test_a_change_of_the_user(app: App) -> None:
    message, _ = failing(app, prepare="import os; os.setgid(33)")
    assert "Operation not permitted" in message
    assert "run.cap_add" in message


def test_an_init_process_that_must_be_the_first(app: App) -> None:
    check = "import os, sys\nif os.getpid() != 1: sys.exit('s6-overlay-suexec: fatal: can only run as pid 1')"
    message, _ = failing(app, prepare=check)
    assert "next: its init process must be PID 1: set run.init = false" in message


def test_a_master_that_has_lost_its_workers(app: App) -> None:
    prepare = """
import socket, time
with socket.create_server(("", 8080)):
    print("[emerg] 7#7: setgid(33) failed (1: Operation not permitted)", flush=True)
    print("[alert] 6#6: worker process 7 exited with fatal code 2 and cannot be respawned", flush=True)
    time.sleep(600)
"""
    message, _ = failing(app, prepare=prepare)
    assert 'run.cap_add = ["CHOWN", "SETGID", "SETUID"]' in message


def test_a_program_that_does_not_exist(app: App) -> None:
    message, _ = failing(app, dockerfile='CMD ["/app/none"]\n')
    assert "check run.command and the CMD of the image" in message


def test_the_first_lines_of_a_long_log(app: App) -> None:
    message, _ = failing(app, prepare="print('the reason')\nfor n in range(999): print('line', n)\nraise SystemExit(3)")
    assert "the reason" in message
    assert "lines left out" in message
    assert "line 998" in message
    assert "the reason" in app.run("logs", "v1").stdout
