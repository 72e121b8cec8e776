"""Two apps go live atomically, with real containers, a real proxy and clients that ask both."""

from __future__ import annotations

import http.client
import itertools
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos import some
from tests.engine.harness import App, Load, free_port, until

pytestmark = pytest.mark.engine

NAMES = ("one", "two")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, App]]:
    """Two apps behind one address; both have a live version. The tests leave them like this, with any version."""
    folder, port = tmp_path_factory.mktemp("together"), free_port()
    made = [App(folder / name, folder / "state", name=name, port=port) for name in NAMES]
    for app in made:
        app.config["proxy"]["path_prefix"] = f"/{app.name}"
        app.config["proxy"]["strip_prefix"] = True
    try:
        write(made, "v1")
        together(made)
        yield made[0], made[1]
    finally:
        made[0].clean()


def write(pair: list[App] | tuple[App, App], version: str, second: str = "ok") -> None:
    pair[0].write(version)
    pair[1].write(version, second)


def files(pair: list[App] | tuple[App, App]) -> list[str]:
    return [word for app in pair for word in ("-f", str(app.folder / "deploy.toml"))]


def together(pair: list[App] | tuple[App, App], *more: str, code: int = 0, crash: str | None = None) -> str:
    done = pair[0].run("release", *files(pair), "--together", *more, code=code, crash=crash)
    return done.stdout + done.stderr


def live(pair: tuple[App, App]) -> list[str]:
    """The version of each app that answers."""
    return [app.get(f"/{app.name}/predict")[1]["x-model-version"] for app in pair]


@contextmanager
def alternating(port: int) -> Iterator[list[str]]:
    """A client that asks both apps in turn on one connection; the versions that have answered."""
    answers: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for name in itertools.cycle(NAMES):
            if stop.is_set():
                break
            connection.request("POST", f"/{name}/predict", b"{}")
            reply = connection.getresponse()
            reply.read()
            answers.append(reply.getheader("X-Model-Version") or str(reply.status))
        connection.close()

    client = threading.Thread(target=ask, daemon=True)
    client.start()
    try:
        yield answers
    finally:
        stop.set()
        client.join(30)


def test_both_go_live_in_one_instant(pair: tuple[App, App]) -> None:
    write(pair, "v2")
    loads = [Load(pair[0].port, 4, path=f"/{name}/predict") for name in NAMES]
    with loads[0], loads[1], alternating(pair[0].port) as answers:
        before = live(pair)
        said = together(pair)
        after = live(pair)
        enough = len(answers) + 10
        until(lambda: len(answers) >= enough, "ten more answers")
    assert before != after
    assert f"one {after[0]} is live instead of {before[0]}" in said
    assert f"two {after[1]} is live instead of {before[1]}" in said
    replies = loads[0].replies + loads[1].replies
    assert [reply for reply in replies if reply.failed] == []
    assert len(replies) > 100
    # Both have the same numbers, so an answer of the other version would be a run of its own.
    assert before[0] == before[1]
    assert [version for version, _ in itertools.groupby(answers)] == [before[0], after[0]]


def test_one_that_is_broken_keeps_both(pair: tuple[App, App]) -> None:
    before = live(pair)
    containers = pair[0].containers()
    pair[1].config["health"]["deadline"] = "3s"
    write(pair, "v9", "sick")
    loads = [Load(pair[0].port, 2, path=f"/{name}/predict") for name in NAMES]
    with loads[0], loads[1]:
        said = together(pair, code=3)
    pair[1].config["health"]["deadline"] = "20s"
    assert "error: two: " in said
    assert "nothing was switched: one, two serve what they served before" in said
    replies = loads[0].replies + loads[1].replies
    assert [reply for reply in replies if reply.failed] == []
    assert {reply.header for reply in replies} == set(before)
    assert live(pair) == before
    assert pair[0].containers().keys() <= containers.keys()
    history = [app.json("history")["deployments"][0] for app in pair]
    assert [row["outcome"] for row in history] == ["undone", "failed"]
    assert history[0]["reason"].startswith("two, released together with it, failed: ")


# The boundaries around the switch; the number says after which of the two apps' steps.
CRASHES = ["before:probe", "before:switch", "acted:switch", "after:switch", "before:reroute", "acted:settle"]


@pytest.mark.parametrize("crash", some(CRASHES, 1, 2))
def test_a_killed_release_moves_both_or_none(pair: tuple[App, App], crash: str) -> None:
    before = live(pair)
    write(pair, f"after {crash} {before[0]}")
    loads = [Load(pair[0].port, 2, path=f"/{name}/predict") for name in NAMES]
    with loads[0], loads[1]:
        pair[0].run("release", *files(pair), "--together", crash=crash, code=-signal.SIGKILL)
        # Each recovers by itself, the second one first, and decides the same.
        directions = [app.json("recover")["direction"] for app in reversed(pair)]
    after = live(pair)
    moved = crash not in ("before:probe", "before:switch")
    assert set(directions) <= {"finish" if moved else "undo", None}
    assert None not in directions or crash == "acted:settle"
    assert [one != two for one, two in zip(before, after, strict=True)] == [moved, moved]
    replies = loads[0].replies + loads[1].replies
    assert [reply for reply in replies if reply.failed] == []
    states = [app.json("status") for app in pair]
    assert [(state["live"]["version"], state["problems"]) for state in states] == [(each, []) for each in after]
