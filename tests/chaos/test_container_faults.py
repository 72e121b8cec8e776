"""The live containers are killed, run out of memory, are paused, disconnected and removed, without deployctl."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos import some
from tests.chaos.oracle import at_rest, outside
from tests.engine.harness import App, Load

# The proxy checks every second, and three failures take a server down; a busy machine gets twice that time.
NOTICED = 8.0


def oom(container: Any) -> None:
    """Fills the container's memory until the kernel kills a process."""
    # The child is what fills it: the kernel ends the one that holds most, and the model with it or not at all.
    code = "x=[]\nwhile True: x.append(bytearray(1<<20))"
    container.update(mem_limit="40m", memswap_limit="40m")
    container.exec_run(["python3", "-c", code])
    container.kill()


FAULTS: dict[str, Callable[[Any], object]] = {
    "killed": lambda container: container.kill(),
    "out of memory": oom,
    "paused": lambda container: container.pause(),
    "its process killed": lambda container: container.exec_run(["sh", "-c", "kill -9 -1"]),
    "removed": lambda container: container.remove(force=True),
}


def harm(app: App, fault: str) -> str:
    container = next(each for each in app.engine_containers() if each.labels.get("deployctl.version") == "v2")
    if fault == "disconnected":
        app.place.client().networks.get(app.names.network).disconnect(container, force=True)
    else:
        FAULTS[fault](container)
    return str(container.name)


@pytest.mark.parametrize("fault", some([*FAULTS, "disconnected"], 1, 2, 5))
def test_one_of_two_is_lost(app: App, fault: str) -> None:
    app.config["run"]["replicas"] = 2
    app.release("v1")
    app.release("v2")
    with Load(app.port, clients=8) as load:
        time.sleep(0.5)
        begin = time.monotonic()
        name = harm(app, fault)
        time.sleep(NOTICED)
        quiet = time.monotonic()
        time.sleep(1.5)
        status = app.json("status")
        report = app.json("doctor", code=None)
        app.run("recover")
        time.sleep(1.5)
    # What is open on the lost container is answered by v1, which is warm, or fails; nothing is after the proxy has
    # noticed.
    assert outside(load.replies, begin, quiet) == []
    assert {reply.version for reply in load.replies if not reply.failed} <= {"v1", "v2"}
    assert {reply.version for reply in load.replies if reply.ended < begin or reply.started > quiet} == {"v2"}
    if fault != "its process killed":  # the engine has restarted that one
        assert status["state"] == "degraded"
        problem = " ".join(status["problems"])
        assert name in problem or "1 container of v2 is missing" in problem
        assert "deployctl recover" in problem or "deployctl logs" in problem
        assert [row for row in report["checks"] if not row["ok"]], report
    wait_whole(app)
    at_rest(app, "v2")
    assert sorted(app.containers()) == sorted(
        [app.names.container("mymodel", v, s, i) for v, s in (("v1", "blue"), ("v2", "green")) for i in (1, 2)]
    )


@pytest.mark.parametrize("fault", some(["killed", "paused", "removed", "disconnected"], 0, 2))
def test_the_only_one_is_lost(app: App, fault: str) -> None:
    app.release("v1")
    app.release("v2")
    harm(app, fault)
    time.sleep(1.0)
    begin = time.monotonic()
    app.run("recover")
    while True:
        try:
            if app.serving() == "v2":
                break
        except OSError:
            pass
        assert time.monotonic() - begin < 10
        time.sleep(0.05)
    wait_whole(app)
    at_rest(app, "v2")


@pytest.mark.parametrize("command", ["release", "rollback"])
def test_the_next_command_repairs_and_goes_on(app: App, command: str) -> None:
    app.release("v1")
    app.release("v2")
    harm(app, "removed")
    if command == "release":
        app.release("v3")
    else:
        app.run("rollback")
    at_rest(app, "v3" if command == "release" else "v1")


def wait_whole(app: App) -> None:
    """Waits until the proxy has checked the restored container."""
    limit = time.monotonic() + 10
    while app.json("status")["state"] != "stable":
        assert time.monotonic() < limit, app.json("status")["problems"]
        time.sleep(0.2)


def test_another_container_has_its_address(app: App) -> None:
    """The live container was disconnected, and another program's container got its address: no request goes there."""
    app.release("v1")
    client, live = app.place.client(), app.container("v1")
    network = client.networks.get(app.names.network)
    address = live.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"]
    network.disconnect(live, force=True)
    endpoint = client.api.create_endpoint_config(ipv4_address=address)
    # The same program, so that it would answer the checks of the proxy.
    made = client.api.create_container(
        live.image.id,
        name=f"{live.name}-other",
        networking_config=client.api.create_networking_config({network.name: endpoint}),
    )
    other = client.containers.get(made["Id"])
    try:
        other.start()
        for command in ("recover", "recover"):
            failed = app.run(command, code=4).stderr
            assert f"{other.name} has its address {address}" in failed
            assert f"docker network disconnect --force {network.name} {other.name}" in failed
        assert app.get()[0] == 503, "nothing answers for the version"
        assert app.json("status")["state"] == "degraded"
        assert app.json("verify", code=4)["problems"]
        assert f"{other.name} has its address" in app.watch(code=4)
    finally:
        other.remove(force=True)
    app.run("recover")
    assert app.serving() == "v1"
    at_rest(app, "v1")
