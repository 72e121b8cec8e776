"""`deployctl proxy upgrade` under load: no request fails, no stream is cut, whatever happens in the middle."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from websockets.sync.client import connect

from tests.chaos import FULL
from tests.engine.harness import App, Load, engine, until
from tests.engine.upgrading import FROM, LINES, older_image, remove_images

# Where an upgrade is killed: around everything that it changes.
POINTS = [
    f"{when}:{name}"
    for name in ("build", "begin", "create", "start", "keep_running", "rename", "rename.2", "leave", "finish", "remove")
    for when in ("before", "acted")
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for all tests: an upgrade leaves it as it was."""
    folder = tmp_path_factory.mktemp("upgrade")
    # A unique name, because parallel tests move the tag mymodel:v1.
    made = App(folder / "app", folder / "state", name=f"upgrade-{os.getpid()}")
    made.config["proxy"]["drain"] = "2m"
    # A version that is kept warm is not drained.
    made.config["rollout"]["keep_warm"] = "0s"
    try:
        made.release("v1")
        yield made
    finally:
        made.clean()
        remove_images()


def start(app: App, *arguments: str, crash: str = "", lines: str = "", image: str = "") -> subprocess.Popen[str]:
    """Starts a command whose builds of the proxy take a second; `image` is that of a proxy that it starts."""
    command = [sys.executable, "-m", "tests.engine.upgrading", crash, "--state-dir", str(app.state_dir), *arguments]
    return subprocess.Popen(
        command,
        cwd=app.folder,
        env={**app.environment(), LINES: lines, FROM: image, "UPGRADE_OF": str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def upgrade(app: App, *, crash: str = "", lines: str = "", code: int = 0) -> str:
    """Upgrades the proxy; returns the messages."""
    process = start(app, "proxy", "upgrade", crash=crash, lines=lines)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, f"{crash}: {process.returncode}\n{out}\n{err}"
    assert "Traceback" not in err
    return out + err


def proxies(app: App) -> dict[str, str]:
    """The ids of the proxy's containers, by what follows the proxy's name."""
    return {
        container.name.removeprefix(app.names.proxy): container.id
        for container in app.engine_containers()
        if container.labels.get("deployctl.role") == "proxy"
    }


def settled(app: App) -> None:
    """Waits until every other proxy has ended, and is removed by a command."""

    def alone() -> bool:
        app.run("recover")
        return list(proxies(app)) == [""]

    until(alone, "the replaced proxy is removed", 60)
    links = {"previous.sock", "previous-listeners.sock", "next.sock"}
    assert not links & {path.name for path in (app.state_dir / "proxy" / "run").iterdir()}
    assert app.json("recover")["repaired"] == []
    assert not [name for name in app.left_over() if name.endswith((".tmp", ".new"))]


@contextmanager
def streaming(app: App, seconds: float) -> Iterator[list[str]]:
    """A stream that is open when the block begins; its lines are there when the block has ended."""
    lines: list[str] = []
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    connection.request("GET", f"/stream?seconds={seconds}")
    reply = connection.getresponse()

    def read() -> None:
        with suppress(OSError, http.client.HTTPException):
            lines.extend(reply.read().decode().splitlines())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lines
    finally:
        reader.join(seconds + 60)
        connection.close()


def test_an_upgrade_loses_no_request_and_no_stream(app: App) -> None:
    (old,) = proxies(app).values()
    idle = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    idle.request("GET", "/")
    assert idle.getresponse().read() == b"v1 /"
    # The model answers no pings.
    websocket = connect(f"ws://127.0.0.1:{app.port}/ws", ping_interval=None)
    with Load(app.port) as load, streaming(app, 5) as lines, websocket as tunnel:
        running = start(app, "proxy", "upgrade")
        until(lambda: set(proxies(app)) == {"", "-previous"}, "the old proxy finishes", 60)
        new = proxies(app)[""]
        assert new != old
        tunnel.send("hello")
        assert tunnel.recv() == "v1 hello"
        # A release meanwhile is made in both proxies: the drain waits for the WebSocket in the old one.
        app.write("v2")
        release = app.start("release", "v2")
        until(lambda: app.serving() == "v2", "v2 is live", 60)
        idle.request("GET", "/")
        reply = idle.getresponse()
        assert (reply.read(), reply.getheader("X-Model-Version")) == (b"v2 /", "v2")
        assert reply.getheader("Connection") == "close", "the old proxy closes the connection after its answer"
        assert app.json("proxy", "status")["previous"]["requests"] >= 1
        (check,) = (each for each in app.json("doctor", code=None)["checks"] if each["name"] == "proxy")
        assert check["message"].startswith("running, HAProxy ")
        assert "; the previous proxy still has " in check["message"]
        assert "the previous proxy still has " in upgrade(app, code=2)
        # A signal ends the wait, not the upgrade.
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
        _, message = running.communicate(timeout=60)
        # On a busy machine the wait has ended by itself.
        assert re.search("the old (one|proxy) still has ", message), message
        assert release.poll() is None, "the drain waits for the WebSocket"
        tunnel.send("again")
        assert tunnel.recv() == "v1 again"
    assert release.wait(60) == 0
    release.communicate()
    assert lines[-1] == "end"
    assert {line.split()[0] for line in lines[:-1]} == {"v1"}
    drain = next(step for step in app.json("history")["deployments"][0]["steps"] if step["name"] == "drain")
    assert drain["detail"]["cut"] == 0
    settled(app)
    assert proxies(app) == {"": new}
    assert load.failures() == []
    assert load.order() == ["v1", "v2"]
    assert [reply for reply in load.replies if reply.header != reply.version] == []
    idle.close()


def test_an_upgrade_from_haproxy_2_6_loses_no_request_and_no_stream(app: App, make_app: Callable[..., App]) -> None:
    """`app` is not used: its proxy has built the image that the upgrade needs."""
    old = make_app(f"older-{os.getpid()}")
    old.config["proxy"]["drain"] = "2m"
    old.write_config()
    first = start(old, "release", "v1", image=older_image())
    _, message = first.communicate(timeout=120)
    assert first.returncode == 0, message
    assert old.json("proxy", "status")["program"]["name"].startswith("HAProxy 2.6.")
    websocket = connect(f"ws://127.0.0.1:{old.port}/ws", ping_interval=None)
    with Load(old.port, clients=32) as load, streaming(old, 5) as lines, websocket as tunnel:
        until(lambda: len(load.replies) > 200, "200 requests")
        running = start(old, "proxy", "upgrade")
        until(lambda: set(proxies(old)) == {"", "-previous"}, "the old proxy finishes", 60)
        assert old.json("proxy", "status")["program"]["name"].startswith("HAProxy 3.0.")
        # Both programs are told of the release, and the shield of v2 is in both.
        old.config["rollout"]["settle"] = "2s"
        old.write("v2")
        release = old.start("release", "v2")
        until(lambda: old.serving() == "v2", "v2 is live", 60)
        tunnel.send("hello")
        assert tunnel.recv() == "v1 hello"
    assert running.wait(90) in (0, 2)
    running.communicate()
    assert release.wait(90) == 0
    release.communicate()
    assert lines[-1] == "end"
    settled(old)
    assert load.failures() == []
    assert load.order() == ["v1", "v2"]
    assert [reply for reply in load.replies if reply.header != reply.version] == []


def test_a_new_proxy_that_does_not_start_leaves_the_old_one(app: App) -> None:
    (old,) = proxies(app).values()
    image = engine().containers.get(old).image.id
    with Load(app.port, clients=4) as load:
        message = upgrade(app, lines='CMD ["sh", "-c", "echo \'[ALERT] no such library\'; exit 1"]', code=3)
        assert "error: the new proxy ended; the old one keeps serving" in message
        assert "why: [ALERT] no such library" in message
        message = upgrade(app, lines="RUN echo no mirror; exit 7", code=3)
        assert "the proxy's image could not be built" in message
        assert proxies(app) == {"": old}
        assert app.json("status")["problems"] == []
        settled(app)
        assert engine().containers.get(old).image.id == image
        assert engine().images.list(f"{app.names.proxy}:next") == []
        # One that starts takes its place.
        before = app.json("proxy", "status")["program"]
        process = start(app, "--json", "proxy", "upgrade")
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        report = json.loads(out)
        assert report["before"] == before
        assert report["after"]["name"] == before["name"]
        assert report["after"]["built_at"] > before["built_at"]
    settled(app)
    assert old not in proxies(app).values()
    assert load.failures() == []


@pytest.mark.parametrize("point", POINTS if FULL else ["acted:start", "acted:rename"])
def test_killed_in_the_middle(app: App, point: str) -> None:
    version = app.serving()
    with Load(app.port, clients=4) as load:
        upgrade(app, crash=point, code=-signal.SIGKILL)
        assert app.json("status")["problems"] == []
        if FULL:
            for command in (["doctor"], ["verify"], ["proxy", "status"]):
                app.run(*command)
        app.run("recover")
        assert app.serving() == version
        settled(app)
    assert load.failures() == []
