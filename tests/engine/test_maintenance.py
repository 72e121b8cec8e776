"""Maintenance on a real engine, under load: what requests get, and what does not end it."""

from __future__ import annotations

import http.client
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.engine.harness import App, Load, Reply, until

MESSAGE = 'Back at 10:00; mail "ops"? 50 % <done> \\ größer 模型'
CLIENTS = 8


@pytest.fixture
def served(app: App) -> Iterator[App]:
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v1")
    yield app


def closed(app: App, message: str, retry_after: str = "30") -> bool:
    """Whether a request gets what the maintenance says; its answer has the id of the request, and no version."""
    status, headers, body = app.get(headers={"X-Request-Id": "r1"})
    if status != 503:
        return False
    assert body == f"{message} (request r1)\n"
    assert headers["retry-after"] == retry_after
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert (headers["x-request-id"], headers["x-model-version"]) == ("r1", "none")
    return True


def predicted(app: App, size: int) -> tuple[int, str | None]:
    """The answer to a body of this size, in bytes, for a client that sends all of it first: status and version."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=150)
    with closing(connection):
        connection.request("POST", "/predict", bytes(size))
        reply = connection.getresponse()
        return reply.status, reply.headers["X-Model-Version"]


def state(app: App) -> str:
    return str(app.json("status")["state"])


def between(load: Load, begin: float, end: float) -> list[Reply]:
    """The requests that were made and answered in a time."""
    return [reply for reply in load.replies if begin <= reply.started and reply.ended <= end]


def test_under_load(served: App) -> None:
    with Load(served.port, clients=CLIENTS) as load:
        time.sleep(0.5)
        done = served.json("maintenance", "on", "--message", MESSAGE, "--retry-after", "90500ms")
        on = time.monotonic()
        assert done["changed"] is True
        assert done["maintenance"]["message"] == MESSAGE
        assert closed(served, MESSAGE, "91")
        sizes = (0, 1_000_000, 20_000_000)
        assert [predicted(served, size) for size in sizes] == [(503, "none")] * 3, "no connection breaks"
        assert state(served) == "maintenance"
        assert served.watch() == "", "nothing is repaired, and nothing is said"
        served.run("doctor")
        served.release("v2")
        served.run("rollback")
        assert closed(served, MESSAGE, "91")
        served.json("maintenance", "on", "--message", "other")
        assert closed(served, "other")
        off = time.monotonic()
        assert served.json("maintenance", "off")["changed"] is True
        opened = time.monotonic()
        assert served.serving() == "v1"
        time.sleep(0.5)
        ended = time.monotonic()
    assert state(served) == "stable"
    inside = between(load, on, off)
    assert {reply.status for reply in inside} == {503}
    assert {reply.header for reply in inside} == {"none"}
    after = between(load, opened, ended)
    assert {reply.status for reply in after} == {200}
    assert [reply for reply in load.replies if reply.error] == []
    assert len(load.connections) == CLIENTS, "every connection was kept"
    print(f"{len(inside)} requests in maintenance, {len(after)} after it")
    assert "nothing to do" in served.run("maintenance", "off").stderr
    events = [row["text"] for row in served.json("events", "--kind", "maintenance")["events"]]
    assert events == [
        "maintenance ended",
        "maintenance changed: requests get 503: other",
        f"maintenance began: requests get 503: {MESSAGE}",
    ]


def test_held_requests_are_served_when_it_ends(served: App) -> None:
    # Less than the wait: a request that waits is not one that the model does not answer.
    served.config["proxy"]["timeout"] = "1s"
    served.release("v2")
    with Load(served.port, clients=CLIENTS) as load:
        time.sleep(0.3)
        served.run("maintenance", "on", "--hold", "30s")
        on = time.monotonic()
        time.sleep(2)
        off = time.monotonic()
        served.run("maintenance", "off")
        time.sleep(0.5)
    assert load.failures() == []
    assert between(load, on + 0.5, off) == [], "no request was answered"
    waited = [reply for reply in load.replies if reply.started < off < reply.ended]
    assert len(waited) == CLIENTS
    assert {reply.version for reply in waited} == {"v2"}


def test_held_requests_reach_the_version_that_is_live_at_the_end(served: App) -> None:
    served.run("maintenance", "on", "--hold", "10m")
    with ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(predicted, served, size) for size in (0, 10, 50_000, 1_000_000)]
        assert served.json("status")["traffic"]["held"] is True
        assert served.watch() == ""
        served.release("v2")
        assert not any(each.done() for each in waiting)
        served.run("maintenance", "off")
        assert [each.result() for each in waiting] == [(200, "v2")] * 4


def test_a_request_that_waits_for_too_long_gets_the_message(served: App) -> None:
    served.run("maintenance", "on", "--hold", "300ms", "--retry-after", "5s")
    begun = time.monotonic()
    assert closed(served, "this app is in maintenance", "5")
    assert time.monotonic() - begun >= 0.3
    # Those that wait already get what comes.
    served.run("maintenance", "on", "--hold", "10m")
    with ThreadPoolExecutor(2) as clients:
        waiting = [clients.submit(predicted, served, size) for size in (0, 1_000_000)]
        time.sleep(0.5)
        assert not any(each.done() for each in waiting)
        served.run("maintenance", "on", "--message", "it takes longer")
        assert [each.result() for each in waiting] == [(503, "none")] * 2


def test_it_outlasts_restarts_and_reloads(served: App, make_app: Callable[..., App]) -> None:
    served.run("maintenance", "on", "--message", MESSAGE)
    other = make_app("other")
    other.config["proxy"]["listen"] = served.config["proxy"]["listen"]
    other.config["proxy"]["path_prefix"] = "/other"
    other.release("v1")
    assert closed(served, MESSAGE), "after a reload"
    assert served.get("/other/x")[0] == 200
    proxy = served.place.client().containers.get(served.names.proxy)
    proxy.restart(timeout=0)
    until(lambda: answers(served), "the proxy is back")
    assert closed(served, MESSAGE), "after a restart"
    proxy.kill()
    assert state(served) == "degraded"
    served.run("recover")
    assert closed(served, MESSAGE), "after recovery"
    assert state(served) == "maintenance"
    # Damaged maps are restored from the ledger.
    for name in ("routes.map", "messages.map"):
        (served.state_dir / "proxy" / name).write_text("nonsense\n")
    served.run("recover")
    assert closed(served, MESSAGE)
    assert served.json("recover")["repaired"] == []
    served.run("maintenance", "off")
    assert served.serving() == "v1"


def answers(app: App) -> bool:
    try:
        return app.get()[0] > 0
    except OSError:
        return False


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_leaves_one_of_the_two_and_the_next_command_finishes(served: App, when: str) -> None:
    for command, ends in ((("on", "--message", MESSAGE), "maintenance"), (("off",), "stable")):
        served.run("maintenance", *command, code=-signal.SIGKILL, crash=f"{when}:maintenance")
        begun = served.json("maintenance")
        assert (begun["maintenance"] is not None) == (ends == "maintenance"), "the ledger decides"
        assert bool(begun["problems"]) == (when == "before")
        assert state(served) == ("degraded" if when == "before" else ends)
        assert closed(served, MESSAGE) == ((when == "after") == (ends == "maintenance"))
        served.watch()
        assert state(served) == ends
        assert closed(served, MESSAGE) == (ends == "maintenance")
        assert served.json("maintenance")["problems"] == []
