"""Sticky sessions: clients of a model that keeps sessions in memory come back to the replica that has theirs."""

from __future__ import annotations

import http.client
import re
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.engine.harness import App, until

# Each replica has its own sessions: `join` begins one, `data` finds it or answers 404, `who` names version and replica.
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

VERSION, HERE, SESSIONS = Path("/app/version").read_text().strip(), os.urandom(4).hex(), set()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        path = urlsplit(self.path).path
        name = path.rpartition("/")[2]
        if path == "/die":
            os._exit(1)
        if path.startswith("/join/"):
            SESSIONS.add(name)
        found = not path.startswith("/data/") or name in SESSIONS
        data = f"{VERSION} {HERE}".encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *arguments):
        pass

ThreadingHTTPServer.request_queue_size = 256
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
STICKY = ["cookie", "header:X-User", "query:session_hash"]


class Client:
    """One session. `sticky` is what keeps it together; `moves` counts its cookies."""

    def __init__(self, app: App, sticky: str, name: str) -> None:
        self.port, self.name, self.moves, self.cookie = app.port, name, 0, ""
        kind, _, key = sticky.partition(":")
        self.query = f"?x=1&{key}={name}" if kind == "query" else ""
        self.headers = {key: name} if kind == "header" else {}

    def get(self, path: str) -> tuple[int, str]:
        """The status and the text of an answer, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {**self.headers, **({"Cookie": self.cookie} if self.cookie else {})}
        try:
            connection.request("GET", f"{path}/{self.name}{self.query}", headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if (given := answer.getheader("Set-Cookie")) is not None:
            assert re.fullmatch(r"deployctl-mymodel=v\d+\.\d; Path=/; HttpOnly; SameSite=Lax", given)
            self.cookie, self.moves = given.partition(";")[0], self.moves + 1
        if answer.status in (200, 404):
            assert text.split()[0] == answer.getheader("X-Model-Version")
        return answer.status, text

    def join(self) -> str:
        """Begins the session; returns who has it."""
        status, text = self.get("/join")
        assert status == 200
        return text

    def data(self) -> str:
        """Who answers with the session; empty when it is lost."""
        status, text = self.get("/data")
        assert status in (200, 404), (status, text)
        return text if status == 200 else ""


@pytest.fixture(params=STICKY)
def sticky(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def app(make_app: Callable[..., App], sticky: str) -> App:
    made = make_app()
    (made.folder / "server.py").write_text(SERVER)
    made.config["run"]["replicas"] = 2
    made.config["proxy"]["sticky"] = sticky
    return made


def clients(app: App, sticky: str, prefix: str, count: int = 12) -> list[Client]:
    return [Client(app, sticky, f"{prefix}{number}") for number in range(count)]


def joined(some: list[Client]) -> list[str]:
    return [client.join() for client in some]


def homes(some: list[Client]) -> list[str]:
    """Who answers each session; no session may be lost."""
    return [client.data() for client in some]


def versions(places: list[str]) -> set[str]:
    return {place.split()[0] for place in places}


@pytest.mark.parametrize("shield", [True, False])
def test_a_session_stays_on_its_version_while_that_is_warm(app: App, sticky: str, shield: bool) -> None:
    app.config["rollout"] |= {"keep_warm": "10m", "shield": shield}
    app.release("v1")
    old = clients(app, sticky, "old")
    first = joined(old)
    assert len(set(first)) == 2, "both replicas have sessions"
    for _ in range(100):
        assert old[0].data() == first[0]

    app.release("v2")
    new = clients(app, sticky, "new")
    second = joined(new)
    assert versions(second) == {"v2"}
    for _ in range(5):
        assert (homes(old), homes(new)) == (first, second)

    # The next release needs the slot of v1: its sessions move first, and get an answer.
    app.release("v3")
    assert homes(old) == [""] * len(old)
    third = joined(old)
    assert versions(third) == {"v3"}
    assert (homes(old), homes(new)) == (third, second)

    # After a rollback nothing stays on the version that was taken back.
    app.run("rollback")
    assert homes(new) == second
    assert homes(old) == [""] * len(old)
    assert versions(joined(old)) == {"v2"}


def test_a_reload_of_the_proxy_loses_no_session(app: App, sticky: str) -> None:
    app.release("v1")
    old = clients(app, sticky, "old")
    first = joined(old)
    app.release("v2")
    time.sleep(6)  # a worker hands its tables over when it is older than 5 seconds
    app.run("proxy", "reload")
    assert homes(old) == first


def test_a_session_moves_when_the_warm_time_is_over(app: App, sticky: str) -> None:
    app.config["rollout"]["keep_warm"] = "1s"
    app.release("v1")
    old = clients(app, sticky, "old")
    first = joined(old)
    app.release("v2")
    assert homes(old) == first
    until(lambda: "rollout.keep_warm time is over" in app.watch(), "v1 is stopped")
    assert homes(old) == [""] * len(old)
    second = joined(old)
    assert versions(second) == {"v2"}
    assert homes(old) == second


def test_a_session_keeps_its_version_in_a_canary(app: App, sticky: str) -> None:
    app.config["rollout"] |= {"strategy": "canary", "stages": ["30% 1h", "60% 1h"]}
    app.release("v1")
    old = clients(app, sticky, "old")
    first = joined(old)
    app.write("v2")
    app.run("release", "v2", "--detach")
    new = clients(app, sticky, "new", 60)
    second = joined(new)
    shares = Counter(place.split()[0] for place in second)
    assert set(shares) == {"v1", "v2"}, shares
    assert shares["v2"] < 40, shares
    for _ in range(3):
        assert (homes(old), homes(new)) == (first, second)
    app.run("promote")
    assert (homes(old), homes(new)) == (first, second)
    app.run("promote")
    assert (homes(old), homes(new)) == (first, second), "v1 is warm"
    late = clients(app, sticky, "late")
    assert versions(joined(late)) == {"v2"}


def test_sessions_leave_a_candidate_that_is_aborted(app: App, sticky: str) -> None:
    app.config["rollout"] |= {"strategy": "canary", "stages": ["50% 1h"]}
    app.release("v1")
    app.write("v2")
    app.run("release", "v2", "--detach")
    some = clients(app, sticky, "some", 30)
    assert versions(joined(some)) == {"v1", "v2"}
    app.run("abort")
    assert versions(joined(some)) == {"v1"}
    assert "" not in homes(some)


def test_a_session_moves_when_its_replica_ends(app: App, sticky: str) -> None:
    app.release("v1")
    some = clients(app, sticky, "some")
    first = joined(some)
    app.container("v1", 1).kill()
    moved = joined(some)
    assert len(set(moved)) == 1
    stayed = [place for place, now in zip(first, moved, strict=True) if place == now]
    assert 0 < len(stayed) < len(some), "the other replica keeps its own sessions"
    # It does not go back when its replica has been started again, without the session.
    app.run("recover")
    fresh = (clients(app, sticky, f"probe{number}-", 10) for number in range(1000))
    until(lambda: len(set(joined(next(fresh)))) == 2, "both replicas answer")
    assert homes(some) == moved
