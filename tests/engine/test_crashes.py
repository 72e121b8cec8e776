"""SIGKILL before and after every journaled step: the next command converges, and no request is lost.

The steps come from the plan itself, asked of the program: a new step is covered by itself.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.chaos import FULL
from tests.engine.harness import App, Load

AT_REST = ("live", "previous", "proxy", "problems")
# The steps that a test below must have covered; the real plan may have more.
RELEASE = (
    "build",
    "vacate",
    "create",
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
COLD = ("vacate", "start", "register", "probe", "keep", "inspect", "switch", "reroute", "drain", "retire", "settle")
WARM = ("register", "probe", "inspect", "switch", "reroute", "drain", "retire", "settle")
WHEN = ("before", "acted")


@pytest.fixture
def served(app: App) -> App:
    app.release("v1")
    return app


def planned(app: App, *arguments: str) -> tuple[str, ...]:
    return tuple(step["name"] for step in app.json("plan", *arguments)["steps"])


def converges(app: App, crash: str, command: list[str], before: str, after: str) -> None:
    """Kills `command` at `crash`, recovers, and checks the promises."""
    when, step = crash.split(":")
    steps = planned(app, *command)
    switched = steps.index(step) > steps.index("switch") or (step == "switch" and when != "before")
    with Load(app.port, clients=4) as load:
        done = app.run(*command, code=-signal.SIGKILL, crash=crash)
        assert "Traceback" not in done.stderr
        status = app.json("status")
        open_deployment = app.json("history")["deployments"][0]["outcome"] is None
        assert status["state"] == ("degraded" if open_deployment else "stable")
        app.run("recover")
        expected = after if switched else before
        assert app.serving() == expected
        found = app.json("status")
        again = app.json("recover")
    assert (again["deployment"], again["repaired"]) == (None, [])
    assert load.failures() == [], crash
    assert {reply.version for reply in load.replies} <= {before, after}
    assert found["state"] == "stable", found
    assert found["live"]["version"] == expected
    assert found["proxy"]["route"] == found["live"]["slot"]
    rest = app.json("status")
    assert {key: rest[key] for key in AT_REST} == {key: found[key] for key in AT_REST}
    last = app.json("history")["deployments"][0]
    assert last["outcome"] == ("succeeded" if switched else "undone")
    assert not [name for name in app.left_over() if name.endswith((".tmp", ".new"))]
    known = {before, after}
    assert {name.split("-")[1] for name in app.containers()} <= known
    # The interrupted command can be run again.
    if not switched:
        app.run(*command)
        assert app.serving() == after


def test_the_lists_here_are_the_plans(served: App) -> None:
    served.write("v2")
    assert planned(served, "release", "v2") == RELEASE
    served.run("release", "v2")
    assert planned(served, "rollback") == WARM
    served.config["rollout"]["keep_warm"] = "0s"
    served.release("v3")
    assert planned(served, "rollback") == COLD


@pytest.mark.parametrize("crash", [f"{when}:{step}" for step in RELEASE for when in WHEN])
def test_a_release(served: App, crash: str) -> None:
    served.write("v2")
    converges(served, crash, ["release", "v2"], "v1", "v2")


@pytest.mark.parametrize("crash", [f"{when}:{step}" for step in WARM for when in WHEN])
def test_a_warm_rollback(served: App, crash: str) -> None:
    served.release("v2")
    converges(served, crash, ["rollback"], "v2", "v1")


def everywhere(steps: tuple[str, ...]) -> list[str]:
    """Before and after each step; in a short run one of the two in turns, for the plans above have both."""
    cases = [f"{when}:{step}" for step in steps for when in WHEN]
    return cases if FULL else [cases[2 * index + index % 2] for index in range(len(steps))]


@pytest.mark.parametrize("crash", everywhere(COLD))
def test_a_cold_rollback(served: App, crash: str) -> None:
    served.config["rollout"]["keep_warm"] = "0s"
    served.release("v2")
    converges(served, crash, ["rollback"], "v2", "v1")


@pytest.mark.parametrize("crash", everywhere(RELEASE[:8]))
def test_a_first_release(make_app: Callable[..., App], crash: str) -> None:
    app = make_app()
    app.run("release", "v1", code=-signal.SIGKILL, crash=crash)
    app.run("recover")
    step = RELEASE.index(crash.split(":")[1])
    switched = step > RELEASE.index("switch") or crash in ("acted:switch", "after:switch")
    if not switched:
        assert app.left_over() == []
        assert app.json("status")["state"] == "empty"
        app.run("release", "v1")
    assert app.serving() == "v1"
    assert app.json("recover")["repaired"] == []
