"""Many commands in parallel, and several apps behind one proxy."""

from __future__ import annotations

import itertools
import random
import subprocess
import threading
import time
from collections.abc import Callable

from tests.chaos import FULL
from tests.chaos.oracle import at_rest
from tests.engine.harness import App, Load, free_port

SECONDS = 180.0 if FULL else 30.0


def test_twenty_commands_on_one_app(app: App) -> None:
    app.release("v1")
    app.release("v2")
    app.write("v3")
    with Load(app.port, clients=4) as load:
        commands = [["release", "v3"], ["rollback"], ["recover"], ["prune"]] * 5
        running = [app.start(*command) for command in commands]
        done = [(process.communicate(timeout=120)[1], process.returncode) for process in running]
    assert load.failures() == []
    for text, code in done:
        assert code in (0, 2, 75), text
        assert "Traceback" not in text
        if code == 75:
            assert "pid" in text
            assert "since" in text
    assert any(code == 0 for _, code in done)
    history = app.json("history", "-n", "50")["deployments"]
    assert {row["outcome"] for row in history} == {"succeeded"}
    spans = sorted((row["started_at"], row["finished_at"]) for row in history)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans)), "one after the other"
    live = app.json("status")["live"]["version"]
    at_rest(app, live)


def shared(make_app: Callable[..., App]) -> list[App]:
    """Five apps behind one proxy: distinguished by host, by prefix, and by address."""
    port = free_port()
    apps = [make_app(name, port=port) for name in ("host-a", "host-b", "path-a", "path-b")]
    for app, route in zip(
        apps,
        ({"host": ["a.test"]}, {"host": ["b.test"]}, {"path_prefix": "/a"}, {"path_prefix": "/b"}),
        strict=True,
    ):
        app.config["proxy"] |= route
        app.config["proxy"]["drain"] = "5s"
    return [*apps, make_app("alone")]


def load_of(app: App, clients: int = 3) -> Load:
    host = (app.config["proxy"].get("host") or ["127.0.0.1"])[0]
    return Load(app.port, clients=clients, host=host, path=app.config["proxy"].get("path_prefix", "") + "/predict")


def test_four_commands_on_each_of_five_apps(make_app: Callable[..., App]) -> None:
    apps = shared(make_app)
    running: list[tuple[App, subprocess.Popen[str]]] = []
    for app in apps:
        app.write("v1")
        running += [(app, app.start("release", "v1")) for _ in range(4)]
    codes: dict[str, list[int]] = {}
    for app, process in running:
        _, text = process.communicate(timeout=300)
        assert process.returncode in (0, 75), text
        codes.setdefault(app.name, []).append(process.returncode)
    assert all(0 in found for found in codes.values()), codes
    routes = (apps[0].state_dir / "proxy" / "routes.map").read_text().splitlines()
    assert len(routes) == 5, "no route is lost"
    proxies = [container for container in apps[0].engine_containers() if container.name == apps[0].names.proxy]
    assert len(proxies) == 1
    for app in apps:
        with load_of(app, 1) as load:
            time.sleep(0.3)
        assert load.failures() == []
        assert {reply.version for reply in load.replies} == {"v1"}
        assert app.json("status")["problems"] == []


def test_five_apps_released_and_rolled_back_at_random(make_app: Callable[..., App]) -> None:
    apps = shared(make_app)
    for app in apps:
        app.config["retention"]["versions"] = 3
        app.release("v1")
    end = time.monotonic() + SECONDS
    problems: list[str] = []

    def operate(app: App, seed: int) -> None:
        choose = random.Random(seed)
        number = 1
        while time.monotonic() < end:
            if number == 1 or choose.random() < 0.6:
                number += 1
                app.write(f"v{number}")
                done = app.run("release", f"v{number}", code=None)
            else:
                done = app.run("rollback", code=None)
            # 2: the version has no stable ancestor
            if done.returncode not in (0, 2):
                problems.append(f"{app.name}: {done.returncode} {done.stderr}")

    loads = [load_of(app) for app in apps]
    operators = [threading.Thread(target=operate, args=(app, seed)) for seed, app in enumerate(apps)]
    for load in loads:
        load.__enter__()
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()
    # Meanwhile another app is added and removed, without an effect on the others.
    guest = make_app("guest", port=apps[0].port)
    guest.config["proxy"]["path_prefix"] = "/guest"
    guest.release("v1")
    for load in loads:
        load.__exit__()
    assert problems == []
    for app, load in zip(apps, loads, strict=True):
        assert load.failures() == [], app.name
        assert len(load.replies) > 100
        wrong = [reply for reply in load.replies if reply.header != reply.version]
        assert wrong == []
        history = app.json("history", "-n", "1000")
        assert {row["outcome"] for row in history["deployments"]} == {"succeeded"}


def test_a_route_that_is_taken_is_refused_before_anything_changes(make_app: Callable[..., App]) -> None:
    first = make_app("first")
    first.config["proxy"]["host"] = ["model.test"]
    first.release("v1")
    second = make_app("second", port=first.port)
    second.config["proxy"]["host"] = ["model.test"]
    second.write("v1")
    before = first.containers(), (first.state_dir / "proxy" / "haproxy.cfg").read_bytes()
    done = second.run("release", "v1", code=2)
    assert "first" in done.stderr
    assert "proxy.host" in done.stderr or "model.test" in done.stderr
    after = first.containers(), (first.state_dir / "proxy" / "haproxy.cfg").read_bytes()
    assert after == before
    assert second.json("status")["state"] == "empty"
