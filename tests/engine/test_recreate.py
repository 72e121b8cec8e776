"""A model that fits once: requests wait while one version stops and the next one starts."""

from __future__ import annotations

import signal

import pytest

from tests.chaos import some
from tests.engine.harness import App, Load, until

pytestmark = pytest.mark.engine


def test_requests_wait_while_the_versions_change(app: App) -> None:
    app.config["rollout"].update(strategy="recreate", hold="60s", settle="1s")
    app.write("v1")
    app.run("release", "v1")
    with Load(app.port, clients=4) as load:
        app.write("v2")
        app.run("release", "v2")
        app.write("v3", "exit")
        failed = app.run("release", "v3", code=3)
        assert "start v2 again" in failed.stderr
        assert app.serving() == "v2"
        app.run("rollback")
        assert app.serving() == "v1"
    assert load.failures() == []
    assert load.order() == ["v1", "v2", "v1"]
    [running] = [name for name, state in app.containers().items() if state == "running"]
    assert "-v1-" in running


def test_a_request_waits_no_longer_than_it_may(app: App) -> None:
    app.config["rollout"].update(strategy="recreate", hold="1s", settle="0s")
    app.write("v1")
    app.run("release", "v1")
    app.write("v2", "late:3")
    with Load(app.port, clients=2, pause=0.1) as load, Load(app.port, 1, body=bytes(20_000_000), pause=0.1) as large:
        released = app.run("release", "v2")
    replies = load.replies + large.replies
    assert {reply.status for reply in load.replies} == {reply.status for reply in large.replies} == {200, 503}
    assert [reply.error for reply in replies if reply.error] == [], "no connection breaks"
    assert all(reply.ended - reply.started < 10 for reply in replies)
    lost = sum(reply.status == 503 for reply in replies)
    assert f"{lost} requests were answered with 503 after 1 s" in released.stderr
    steps = {step["name"]: step["detail"] for step in app.json("history")["deployments"][0]["steps"]}
    assert steps["switch"]["unanswered"] == lost


# The steps that are journaled from the moment that requests wait.
STEPS = (
    "hold",
    "drain",
    "halt",
    "start",
    "register",
    "probe",
    "keep",
    "inspect",
    "switch",
    "reroute",
    "retire",
    "settle",
)
POINTS = [f"{when}:{step}" for step in STEPS for when in ("before", "acted", "after")]
MOVED = POINTS[POINTS.index("acted:switch") :]


@pytest.mark.parametrize("command", ["release", "rollback"])
def test_a_kill_at_any_step_loses_no_request(app: App, command: str) -> None:
    """The next command finishes it, or starts the old version again. Until then requests wait."""
    app.config["rollout"].update(strategy="recreate", hold="60s", settle="0s")
    app.config["proxy"]["drain"] = "2s"
    app.release("v1")
    live, number = "v1", 1
    with Load(app.port, clients=4) as load:
        until(lambda: len(load.replies) > 20, "the first replies")
        for crash in some(POINTS, *([4, 8, 24] if command == "release" else [13])):
            if command == "release" or live == "v1":
                number += 1
                app.write(f"v{number}")
            if command == "rollback" and live == "v1":
                app.run("release")
                live = f"v{number}"
            target = f"v{number}" if command == "release" else "v1"
            arguments = ["release"] if command == "release" else ["rollback", "--to", "v1"]
            app.run(*arguments, crash=crash, code=-signal.SIGKILL)
            app.run("recover")
            again = app.json("recover")
            assert (again["deployment"], again["repaired"], again["failed"]) == (None, [], []), crash
            live = target if crash in MOVED else live
            assert app.serving() == live, crash
            status = app.json("status")
            assert (status["live"]["version"], status["problems"]) == (live, []), crash
            assert list(app.containers().values()).count("running") == 1, crash
    assert load.failures() == []
    assert [reply for reply in load.replies if reply.header != reply.version] == []
