"""Passes of the watchdog with a real engine and a real proxy: repairs, rollbacks, and kills of the watchdog."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.chaos import some
from tests.chaos.oracle import at_rest, outside
from tests.engine.harness import App, Load, until

HUNG = ["sh", "-c", "kill -STOP -1"]
FAULTS: dict[str, Callable[[Any], object]] = {
    "killed": lambda container: container.kill(),
    "stopped": lambda container: container.stop(timeout=1),
    "paused": lambda container: container.pause(),
    "removed": lambda container: container.remove(force=True),
    "disconnected": lambda container: disconnect(container),
    "hung": lambda container: container.exec_run(HUNG),
}
SAID = {
    "killed": "started again: it exited with exit code 137",
    "stopped": "started again: it exited with exit code 143",
    "paused": "unpaused: it is paused",
    "removed": "recreated: it was removed",
    "disconnected": "reconnected to its network: it is detached from its network",
    "hung": "restarted: 2 of 2 probes failed, last: no answer within 1 s",
}
# Time limit of a pass: two probes of a second, two seconds of grace, and the time of the engine.
HEALED = 15.0
# The steps of an automatic rollback to a version that was stopped.
COLD = ("vacate", "start", "register", "probe", "keep", "inspect", "switch", "reroute", "drain", "retire", "settle")
# A container that hangs with open requests counts as busy at first.
WATCHDOG = {"probes": 3, "failures": 2, "busy": "0s", "backoff": "100ms", "restarts": 3}
NO_TARGET = "there is no stable version to roll back to"


@pytest.fixture
def quick(make_app: Callable[..., App]) -> Callable[..., App]:
    """Creates apps whose watchdog decides quickly."""

    def make(name: str = "mymodel") -> App:
        app = make_app(name)
        app.config["health"]["timeout"] = "1s"
        app.config["proxy"]["drain"] = "3s"
        app.config["rollout"]["keep_warm"] = "0s"
        app.config["watchdog"] = dict(WATCHDOG)
        return app

    return make


@pytest.fixture
def app(quick: Callable[..., App]) -> App:
    return quick()


def disconnect(container: Any) -> None:
    (network,) = container.attrs["NetworkSettings"]["Networks"]
    container.client.networks.get(network).disconnect(container, force=True)


def healthy_again(app: App) -> bool:
    """Waits until the proxy has checked the restored container."""
    return bool(app.json("status")["state"] == "stable")


def identity(container: Any) -> tuple[str, str, int]:
    container.reload()
    return container.id, container.attrs["State"]["StartedAt"], container.attrs["RestartCount"]


def hopeless(app: App, version: str) -> None:
    """Makes the process of a version end immediately after each start."""
    container = app.container(version)
    container.exec_run(["sh", "-c", "echo exit > /app/mode"])
    container.exec_run(["sh", "-c", "kill -9 -1"])


def passes_until(app: App, true: Callable[[str, int], bool], limit: float = 40.0) -> list[str]:
    """Runs passes until one fulfils the condition; returns the output of all."""
    said = []
    end = time.monotonic() + limit
    while True:
        done = app.run("watchdog", "run", code=None)
        assert done.returncode in (0, 4), done.stderr
        assert "Traceback" not in done.stderr
        said.append(done.stdout + done.stderr)
        if true(said[-1], done.returncode):
            return said
        assert time.monotonic() < end, said


@pytest.mark.parametrize("fault", some(list(FAULTS), 0, 3, 4, 5))
def test_one_of_two_is_healed(app: App, fault: str) -> None:
    app.config["run"]["replicas"] = 2
    app.release("v1")
    lost, healthy = app.container("v1", 1), app.container("v1", 2)
    before = identity(healthy)
    name = lost.name
    with Load(app.port, clients=4) as load:
        time.sleep(0.3)
        begin = time.monotonic()
        FAULTS[fault](lost)
        faulty = time.monotonic()
        said = app.watch()
        healed = time.monotonic()
        print(f"{fault}: healed after {healed - faulty:.2f} s")
        until(lambda: healthy_again(app), "the proxy sees both")
        quiet = time.monotonic()
        time.sleep(1)
    assert healed - faulty < HEALED
    assert said == f"mymodel: {name} {SAID[fault]}\n"
    assert app.watch() == ""
    assert outside(load.replies, begin, quiet) == []
    assert identity(healthy) == before
    assert app.counts()["healed"] == 1
    at_rest(app, "v1")


@pytest.mark.parametrize("fault", some(list(FAULTS), 1, 2))
def test_the_only_one_is_healed(app: App, fault: str) -> None:
    app.release("v1")
    FAULTS[fault](app.container("v1"))
    said = app.watch()
    assert said == f"mymodel: {app.container('v1').name} {SAID[fault]}\n"
    until(lambda: healthy_again(app), "v1 is healthy")
    assert app.watch() == ""
    at_rest(app, "v1")


def test_nothing_to_do(app: App) -> None:
    app.release("v1")
    before = identity(app.container("v1"))
    done = app.run("watchdog", "run")
    assert (done.stdout, done.stderr) == ("", "")
    assert app.json("watchdog", "run")["passes"][0]["outcome"] == "healthy"
    assert identity(app.container("v1")) == before
    assert app.counts() == {"pass:healthy": 2}


def test_a_busy_model_is_left_alone(app: App) -> None:
    del app.config["watchdog"]["busy"]
    app.release("v1", "single")
    before = identity(app.container("v1"))
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(app.get, "/slow?seconds=12")
        time.sleep(1)
        (found,) = app.json("watchdog", "run")["passes"]
        assert working.result()[0] == 200
    assert (found["outcome"], found["done"]) == ("healthy", [])
    assert "is busy with 1 request: 2 of " in found["waiting"][0]
    assert identity(app.container("v1")) == before


def test_a_model_that_is_not_ready_is_left_alone(app: App) -> None:
    app.release("v1")
    app.release("v2")
    container = app.container("v2")
    before = identity(container)
    container.exec_run(["touch", "/app/unready"])
    said = app.watch(code=4)
    assert said == (
        f"mymodel: {container.name} is not ready: 2 of 2 probes failed, last: HTTP 503 'v2'; next: check what it"
        " depends on (deployctl logs v2)\n"
    )
    assert [app.watch(code=4) for _ in range(5)] == [""] * 5
    assert app.serving() == "v2", "its requests are still answered"
    assert identity(container) == before
    container.exec_run(["rm", "/app/unready"])
    until(lambda: healthy_again(app), "v2 is healthy")
    assert app.watch() == "mymodel: mymodel has recovered\n"
    kinds = [event["kind"] for event in app.json("events", "--by", "watchdog")["events"]]
    assert kinds == ["recovered", "degraded"]


def test_the_first_pass_counts_what_the_engine_has_restarted(app: App) -> None:
    app.release("v1")
    app.release("v2", "dies:0:0")
    container = app.container("v2")

    def ended() -> bool:
        container.reload()
        return bool(container.attrs["RestartCount"] >= 3)

    with Load(app.port, clients=1):  # it ends after its first prediction, and again after each start
        until(ended, "three exits", 40)
    said = app.watch()
    assert re.search(r"exited \d+ times, and the engine restarted it\n", said)
    assert re.search(r"v2 rolled back to v1: v2 cannot be repaired: .* exited \d+ times within 600 s", said)
    assert app.serving() == "v1"
    (event,) = app.json("events", "--kind", "ended")["events"]
    assert (event["by"], event["version"]) == ("engine", "v2")
    at_rest(app, "v1")


def test_what_cannot_be_healed_is_rolled_back(app: App) -> None:
    app.release("v1")
    app.release("v2")
    hopeless(app, "v2")
    said = passes_until(app, lambda text, code: "rolled back" in text)
    print(*said, sep="")
    assert re.search(
        r"v2 rolled back to v1: v2 cannot be repaired: .*(exited \d+ times|was repaired 3 times)", said[-1]
    )
    row = app.json("history")["deployments"][0]
    assert (row["kind"], row["outcome"], row["actor"]) == ("auto-rollback", "succeeded", "watchdog")
    assert app.mark("v2") == "bad"
    at_rest(app, "v1")
    assert app.watch() == ""
    # v1 fails, too: the cooldown is not over, and there is no earlier version.
    hopeless(app, "v1")
    passes_until(app, lambda text, code: code == 4 and NO_TARGET in text)


def test_it_does_not_roll_back_twice(app: App) -> None:
    for version in ("v1", "v2", "v3"):
        app.release(version)
    hopeless(app, "v3")
    passes_until(app, lambda text, code: "v3 rolled back to v2" in text)
    hopeless(app, "v2")
    said = passes_until(app, lambda text, code: code == 4 and "too recent" in text)
    print(*said, sep="")
    assert "the last automatic rollback was too recent" in said[-1]
    assert "next: deployctl rollback" in said[-1]
    assert app.watch(code=4) == "", "a known problem is not reported again"
    assert app.json("status")["live"]["version"] == "v2"
    # After a manual release, another automatic rollback is possible.
    app.container("v2").remove(force=True)
    app.run("recover")
    until(lambda: healthy_again(app), "v2 is healthy")
    said = passes_until(app, lambda text, code: code == 0 and "mymodel has recovered" in text)
    assert said[-1] == "mymodel: mymodel has recovered\n"
    app.release("v4")
    hopeless(app, "v4")
    said = passes_until(app, lambda text, code: "rolled back" in text)
    assert "v4 rolled back to v2" in said[-1]
    at_rest(app, "v2")


def test_no_earlier_version(app: App) -> None:
    app.release("v1")
    hopeless(app, "v1")
    said = passes_until(app, lambda text, code: code == 4 and NO_TARGET in text)
    print(*said, sep="")
    assert "v1 cannot be repaired" in said[-1]
    assert "next: deployctl logs v1, then release a fixed version" in said[-1]
    assert app.watch(code=4) == ""


def test_ten_at_once(app: App) -> None:
    app.release("v1")
    container = app.container("v1")
    container.exec_run(HUNG)
    begin = int(time.time())
    processes = [app.start("watchdog", "run") for _ in range(10)]
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 10
    spoken = [out + err for out, err in said if out + err]
    assert spoken == [f"mymodel: {container.name} {SAID['hung']}\n"]
    counts = app.counts()
    assert counts["healed"] == counts["pass:acted"] == 1
    assert counts["skipped"] >= 1
    assert counts["skipped"] + counts.get("pass:healthy", 0) == 9
    chosen = {"container": container.id, "event": "restart"}
    events = app.place.client().events(since=begin, until=int(time.time()) + 1, filters=chosen, decode=True)
    assert len(list(events)) == 1


def test_a_command_is_at_work(app: App) -> None:
    app.release("v1")
    app.write("v2", "late:3")
    release = app.start("release", "v2")
    until(lambda: app.json("status")["state"] == "deploying", "a release")
    done = app.run("watchdog", "run")
    assert (done.stdout, done.stderr) == ("", "")
    assert app.json("watchdog", "run")["passes"][0]["outcome"] == "skipped"
    release.communicate(timeout=60)
    assert release.returncode == 0
    assert app.counts() == {"skipped": 2}


def test_a_file_that_is_being_edited(app: App) -> None:
    app.release("v1")
    app.container("v1").kill()
    (app.folder / "deploy.toml").write_text("[app\nname = ")
    assert SAID["killed"] in app.watch()
    assert app.watch() == ""
    assert "deploy.toml" in app.run("status", code=2).stderr


def steps(app: App) -> tuple[str, ...]:
    return tuple(step["name"] for step in app.json("history")["deployments"][0]["steps"])


@pytest.mark.parametrize(
    "crash", some([f"{when}:{step}" for step in COLD for when in ("before", "acted")], 3, 12, 13, 18)
)
def test_killed_in_a_rollback(app: App, crash: str) -> None:
    app.release("v1")
    app.release("v2")
    with Load(app.port, clients=4) as load:
        hopeless(app, "v2")
        end = time.monotonic() + 40
        while True:
            done = app.run("watchdog", "run", code=None, crash=crash)
            if done.returncode == -signal.SIGKILL:
                break
            assert time.monotonic() < end
            assert done.returncode in (0, 4), done.stderr
        said = passes_until(app, lambda text, code: app.json("status")["live"]["version"] == "v1", 20)
        quiet = time.monotonic()
        print(*said, sep="")
        assert app.watch() == ""
        until(lambda: sum(reply.started > quiet for reply in list(load.replies)) > 50, "50 requests")
    assert [reply for reply in load.failures() if reply.started > quiet] == []
    assert app.mark("v2") == "bad"
    row = app.json("history")["deployments"][0]
    assert (row["kind"], row["outcome"]) == ("auto-rollback", "succeeded")
    assert "v2 cannot be repaired" in row["reason"]
    at_rest(app, "v1")
    assert sorted(set(steps(app))) == sorted(COLD)


# Each request to the engine for a repair, and the fault that it repairs.
ACTS = {"restart": "hung", "start": "stopped", "resume": "paused", "create": "removed", "reconnect": "disconnected"}


@pytest.mark.parametrize("crash", some([f"{when}:engine.{act}" for act in ACTS for when in ("before", "acted")], 1, 7))
def test_killed_while_it_repairs(app: App, crash: str) -> None:
    app.config["run"]["replicas"] = 2
    app.release("v1")
    healthy = app.container("v1", 2)
    before = identity(healthy)
    FAULTS[ACTS[crash.partition("engine.")[2]]](app.container("v1", 1))
    app.run("watchdog", "run", crash=crash, code=-signal.SIGKILL)
    # At the next pass, or after a pause.
    passes_until(app, lambda text, code: healthy_again(app), 20)
    assert app.watch() == ""
    assert identity(healthy) == before
    assert len(app.containers()) == 2
    at_rest(app, "v1")


def test_a_signal_before_the_switch(app: App) -> None:
    app.release("v1", "late:4")
    app.release("v2")
    hopeless(app, "v2")
    with ExitStack() as stack:
        loop = stack.enter_context(app.start("watchdog", "run", "--loop", "1s"))
        stack.callback(loop.kill)
        until(lambda: (app.json("status")["deployment"] or {}).get("step") == "probe", "an automatic rollback", 40)
        loop.send_signal(signal.SIGTERM)
        out, err = loop.communicate(timeout=20)
    assert loop.returncode == 143, (out, err)
    assert "interrupted (SIGTERM): stopped before traffic was switched" in err
    row = app.json("history")["deployments"][0]
    assert (row["kind"], row["outcome"]) == ("auto-rollback", "undone")
    said = passes_until(app, lambda text, code: "rolled back" in text)
    assert "v2 rolled back to v1" in said[-1]
    at_rest(app, "v1")


def test_all_apps_side_by_side(quick: Callable[..., App]) -> None:
    apps = [quick(name) for name in ("one", "two", "three")]
    for app in apps:
        app.release("v1")
        app.container("v1").exec_run(HUNG)
    begin = time.monotonic()
    said = apps[0].watch("--all")
    print(f"three hung ones: {time.monotonic() - begin:.2f} s")
    assert sorted(said.splitlines()) == sorted(f"{app.name}: {app.container('v1').name} {SAID['hung']}" for app in apps)
    for app in apps:
        until(lambda app=app: healthy_again(app), f"{app.name} is healthy")
    assert apps[1].watch("--all") == ""


@pytest.mark.parametrize("worked", [False, True])
def test_the_loop_ends_at_once(app: App, worked: bool) -> None:
    app.release("v1")
    if worked:
        # A rollback must not be stopped; after it the loop may end.
        app.release("v2")
        hopeless(app, "v2")
    with ExitStack() as stack:
        loop = stack.enter_context(app.start("watchdog", "run", "--loop", "1s"))
        stack.callback(loop.kill)
        wanted = "auto-rollback" if worked else "pass:healthy"
        until(lambda: app.counts().get(wanted), "a pass", 40)
        until(lambda: app.json("status")["state"] == "stable", "rest", 40)
        time.sleep(1.5)
        begin = time.monotonic()
        loop.send_signal(signal.SIGTERM)
        out, err = loop.communicate(timeout=20)
        took = time.monotonic() - begin
    assert loop.returncode == 143, (out, err)
    print(f"ended after {took:.2f} s")
    assert took < 1
    assert ("rolled back" in out) == worked
    assert "Traceback" not in err
