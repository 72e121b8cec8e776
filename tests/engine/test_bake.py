"""The bake with a real engine and a real proxy: a bad version is rolled back at once, a good one becomes stable."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.chaos import FULL, some
from tests.chaos.oracle import at_rest
from tests.engine.harness import App, Load, Reply, crashed, monotonic, until

# When a version turns bad, in seconds after its first prediction.
AFTER = 20 if FULL else 4
# The proxy checks every second, and three failures take a server down; each within its timeout.
NOTICED = 6.0
NORMAL = "slow:1:0"
KINDS = {"errors": f"errors:0.3:{AFTER}", "dies": f"dies:1:{AFTER}"}
FAIL = r"\d+\.\d% of [\d,]+ requests failed; at most 5\.0% may fail"
FIGURES = {"errors": FAIL, "dies": rf"exited (once|\d+ times) within 600 s|\d of \d probes failed|{FAIL}"}
# A version that stays warm is not drained.
STEPS = ("inspect", "switch", "reroute", "retire", "settle")


@pytest.fixture
def served(app: App) -> App:
    """v1 is live and stable; versions that are released from now on bake."""
    app.config["health"]["timeout"] = "1s"
    app.config["proxy"]["drain"] = "3s"
    app.config["rollout"]["keep_warm"] = "0s"
    app.config["watchdog"] = {"probes": 3, "failures": 2, "busy": "0s"}
    app.release("v1", NORMAL)
    bake(app, f"{AFTER + 15}s")
    return app


def bake(app: App, time: str) -> None:
    app.config["rollout"]["bake"] = time
    app.write_config()


def known(load: Load) -> None:
    """Waits until there is enough traffic for a comparison."""
    until(lambda: len(load.replies) > 300, "300 requests")


def all_again(load: Load) -> None:
    """Waits until each client has had an answer to a new request."""
    begin = time.monotonic()
    until(lambda: len({r.client for r in list(load.replies) if r.started > begin}) == len(load), "all clients again")


def back(app: App) -> float:
    """When the automatic rollback switched, by the clients' clock; checks its duration."""
    row = app.json("history")["deployments"][0]
    switch = next(step for step in row["steps"] if step["name"] == "switch")
    ((verdict,),) = app.rows("SELECT at FROM events WHERE kind = 'auto-rollback'")
    took = monotonic(switch["finished_at"]) - monotonic(verdict)
    print(f"from the verdict to the switch: {took:.3f} s")
    assert took < 3
    return monotonic(switch["finished_at"])


def went_back(app: App, replies: list[Reply], kind: str) -> None:
    """v1 serves, it has answered what v2 failed, and the ledger has the reason."""
    switched = back(app)
    assert [reply for reply in replies if reply.failed] == []
    assert {reply.version for reply in replies if reply.started > switched} == {"v1"}
    first = min(reply.ended for reply in replies if reply.started > switched)
    print(f"from the switch to the first new reply: {first - switched:.3f} s")
    assert {reply.version for reply in replies} >= {"v1", "v2"}
    row = app.json("history")["deployments"][0]
    assert (row["kind"], row["outcome"], row["from"], row["to"]) == ("auto-rollback", "succeeded", "v2", "v1")
    assert re.search(FIGURES[kind], row["reason"]), row["reason"]
    assert app.mark("v2") == "bad"
    at_rest(app, "v1")


@pytest.mark.parametrize("kind", KINDS)
def test_what_turns_bad_is_rolled_back(served: App, kind: str) -> None:
    served.write("v2", KINDS[kind])
    with Load(served.port, clients=8) as load:
        known(load)
        done = served.run("release", "v2", code=3)
        all_again(load)
    assert re.search(FIGURES[kind], done.stderr), done.stderr
    assert "v2 rolled back to v1" in done.stderr
    assert not crashed(done.stderr)
    went_back(served, load.replies, kind)
    refused = served.run("release", "v2", code=2).stderr
    assert re.search(FIGURES[kind], refused), refused
    assert "deployctl release v2 --force" in refused
    if kind == "errors":
        # It receives no predictions now, so it does not turn bad.
        bake(served, "1s")
        served.run("release", "v2", "--force")
        assert served.mark("v2") == "live"
        at_rest(served, "v2")


def test_the_watchdog_rolls_a_detached_one_back(served: App) -> None:
    served.write("v2", KINDS["errors"])
    said: list[str] = []
    with Load(served.port, clients=8) as load:
        known(load)
        done = served.run("release", "v2", "--detach")
        assert "v2 is live instead of v1; its bake goes on" in done.stderr
        until(lambda: said.append(served.watch()) or said[-1], "a pass that reports something", AFTER + 15)
        all_again(load)
    (line,) = said[-1].splitlines()
    assert re.fullmatch(rf"mymodel: v2 rolled back to v1: v2 failed its bake: {FIGURES['errors']}.*", line)
    went_back(served, load.replies, "errors")
    assert served.watch() == ""


def test_without_traffic_it_becomes_stable(served: App) -> None:
    bake(served, "3s")
    served.write("v2", KINDS["errors"])
    done = served.run("release", "v2")
    assert "v2 is live instead of v1, and stable" in done.stderr
    assert [row["kind"] for row in served.json("history")["deployments"]] == ["release", "release"]
    assert served.json("status")["state"] == "stable"


def test_as_good_as_the_one_before(served: App) -> None:
    bake(served, f"{AFTER + 10}s")
    served.write("v2", NORMAL)
    with Load(served.port, clients=8) as load:
        known(load)
        process = served.start("release", "v2")
        until(lambda: served.json("status")["state"] == "baking", "v2 bakes")
        until(lambda: (served.json("status")["bake"] or {"traffic": {"requests": 0}})["traffic"]["requests"], "traffic")
        status = served.json("status")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "v2 is live instead of v1, and stable" in said
    assert re.search(r"baking \d+ of \d+ s; \d+ probes?; 0\.0% of [\d,]+ requests failed", said), said
    assert load.failures() == []
    assert load.order() == ["v1", "v2"]
    assert (status["live"]["version"], status["problems"]) == ("v2", [])
    figures = status["bake"]
    assert figures["traffic"]["errors"] == figures["before"]["errors"] == 0
    assert figures["before"]["requests"] > 300
    # v1 was released with the same normal time; whole milliseconds, and a busy machine
    assert 0.009 < figures["before"]["seconds"] < 0.1
    assert 0.009 < figures["traffic"]["seconds"] < 0.1
    # Independent of keep_warm, a rollback is a switch.
    assert (status["previous"]["version"], status["previous"]["rollback"]["mode"]) == ("v1", "switch")
    assert "note: v1 stopped: its rollout.keep_warm time is over" in said
    assert served.json("status")["previous"]["rollback"]["mode"] == "start"
    at_rest(served, "v2")


FAULTS: dict[str, Callable[[Any], object]] = {
    "killed": lambda container: container.kill(),
    "hung": lambda container: container.exec_run(["sh", "-c", "kill -STOP -1"]),
    "paused": lambda container: container.pause(),
}


@pytest.mark.parametrize("fault", some(list(FAULTS), 0, 1))
def test_the_proxy_turns_to_the_one_before(served: App, fault: str) -> None:
    bake(served, "60s")
    served.write("v2", NORMAL)
    with Load(served.port, clients=4) as load:
        known(load)
        served.run("release", "v2", "--detach")
        begin = time.monotonic()
        FAULTS[fault](served.container("v2"))
        time.sleep(NOTICED)
        # Clients of the lost container still wait for it; these are new clients.
        with Load(served.port, clients=4) as fresh:
            until(lambda: len(fresh.replies) > 100, "100 requests")
            alone = time.monotonic()
            # What v1 has answered meanwhile, v2 has failed.
            said = served.watch()
            end = time.monotonic()
            all_again(load)
            all_again(fresh)
    print(said, [f"{reply.started - begin:.2f}-{reply.ended - begin:.2f}" for reply in load.failures()])
    print(f"the pass took {end - alone:.2f} s")
    assert [reply for reply in load.failures() if reply.started > begin + NOTICED] == []
    assert fresh.failures() == []
    assert {(reply.version, reply.header) for reply in fresh.replies if reply.ended < alone} == {("v1", "v1")}
    assert served.json("status")["live"]["version"] == "v1", said
    assert re.search(rf"v2 rolled back to v1: v2 failed its bake: {FAIL}", said), said
    assert fresh.order() == ["v1"]
    at_rest(served, "v1")
    assert served.watch() == ""


def staying(app: App) -> subprocess.Popen[str]:
    """A release of v2 that has gone live, and watches it."""
    process = app.start("release", "v2")
    assert process.stderr is not None
    for line in process.stderr:
        if "watch v2" in line:
            return process
    raise AssertionError(f"it ended with {process.wait()}")


def test_ctrl_c_leaves_it_to_the_watchdog(served: App) -> None:
    bake(served, "4s")
    served.write("v2", NORMAL)
    process = staying(served)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 130, said
    assert "v2 is live and continues to bake until" in said
    assert served.json("status")["state"] == "baking"
    ended = []
    until(lambda: ended.append(served.watch()) or ended[-1], "the end of the bake")
    assert ended[-1].startswith("mymodel: v2 is stable: its bake is over")
    assert served.serving() == "v2"
    assert served.json("status")["state"] == "stable"


def test_a_signal_while_the_old_one_drains(served: App) -> None:
    served.config["proxy"]["drain"] = "30s"
    served.write_config()
    served.write("v2", KINDS["errors"])
    with ExitStack() as stack:
        load = stack.enter_context(Load(served.port, clients=8))
        known(load)
        served.run("release", "v2", "--detach")
        # A request on v2 that stays open longer than the drain.
        thread = stack.enter_context(ThreadPoolExecutor(1))
        long = thread.submit(served.get, f"/slow?seconds={AFTER + 20}")
        loop = stack.enter_context(served.start("watchdog", "run", "--loop", "1s"))
        stack.callback(loop.kill)
        until(lambda: step(served) == "drain", "v2 drains", AFTER + 15)
        begin = time.monotonic()
        loop.send_signal(signal.SIGTERM)
        out, err = loop.communicate(timeout=20)
        took = time.monotonic() - begin
        all_again(load)
        status, _, body = long.result(AFTER + 40)
        assert (status, body.split()[0]) == (200, "v1"), "v1 has answered it when v2 was stopped"
    assert loop.returncode == 143, (out, err)
    assert took < 5
    assert "v2 rolled back to v1" in out, "what was done is reported"
    went_back(served, load.replies, "errors")
    assert served.watch() == ""


def step(app: App) -> str | None:
    """The current step of the open deployment."""
    found = app.json("status")["deployment"]
    return str(found["step"]) if found else None


def test_a_rollback_by_hand(served: App) -> None:
    served.write("v2", NORMAL)
    process = staying(served)
    time.sleep(1)
    served.run("rollback")
    _, said = process.communicate(timeout=10)
    assert process.returncode == 0, said
    assert "another command made v1 live" in said
    assert "v2 is live" not in said
    assert served.mark("v2") == "rolled back", "a person rolled it back; it was not bad"
    at_rest(served, "v1")


def test_the_proxy_is_lost_while_it_stays(served: App) -> None:
    bake(served, "5s")
    served.write("v2", NORMAL)
    process = staying(served)
    served.place.client().containers.get(served.names.proxy).kill()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert "the proxy was started" in said
    assert "v2 is live instead of v1, and stable" in said
    assert served.serving() == "v2"


def test_killed_while_it_stays(served: App) -> None:
    bake(served, "4s")
    served.write("v2", NORMAL)
    process = staying(served)
    process.kill()
    process.communicate(timeout=10)
    converges(served)


@pytest.mark.parametrize("crash", some([f"{when}:{step}" for step in STEPS for when in ("before", "acted")], 0, 1, 6))
def test_killed_at(served: App, crash: str) -> None:
    bake(served, "4s")
    served.write("v2", NORMAL)
    with Load(served.port, clients=4) as load:
        known(load)
        served.run("release", "v2", crash=crash, code=-signal.SIGKILL)
        first = served.watch()
        if crash in ("before:inspect", "acted:inspect", "before:switch"):
            assert "undone" in first
            assert served.watch() == ""
            at_rest(served, "v1")
        else:
            assert ("finished" in first) == (crash != "acted:settle"), first
            converges(served)
    assert load.failures() == []


def converges(app: App) -> None:
    """v2 is live, and its bake ends with a pass."""
    assert app.serving() == "v2"
    said: list[str] = []
    until(lambda: said.append(app.watch()) or "stable" in said[-1], "the end of the bake")
    assert all("v2 is stable: its bake is over" in line or line == "" for line in said)
    until(lambda: "v1 stopped" in said[-1] or said.append(app.watch()), "v1's end")
    assert app.watch() == ""
    assert app.mark("v2") == "live"
    at_rest(app, "v2")
