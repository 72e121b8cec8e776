"""Releases that fail: the old version serves all the time, the message has the cause, nothing is left."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.engine.harness import App, Load, engine


@pytest.fixture
def served(app: App) -> App:
    """An app whose v1 is live, with a short deadline for the next version."""
    app.config["health"]["deadline"] = "3s"
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v1")
    return app


def fails(app: App, version: str, *, code: int) -> str:
    """Releases `version` under load, and checks the exit code and that v1 serves without an interruption."""
    before, left = app.containers(), sorted(app.left_over())
    with Load(app.port, clients=4) as load:
        time.sleep(0.2)
        done = app.run("release", version, code=code)
        time.sleep(0.2)
    assert load.failures() == []
    assert {reply.version for reply in load.replies} == {"v1"}
    assert app.containers() == before
    assert sorted(app.left_over()) == left
    assert app.json("status")["state"] == "stable"
    assert app.json("status")["live"]["version"] == "v1"
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_container_that_exits_at_once(served: App) -> None:
    served.write("v2", "exit")
    started = time.monotonic()
    message = fails(served, "v2", code=3)
    assert "exit code 7" in message
    assert "no weights found: giving up" in message
    assert time.monotonic() - started < 15
    assert "no weights found" in served.run("logs", "v2").stdout
    last = served.json("history")["deployments"][0]
    assert (last["outcome"], last["to"]) == ("failed", "v2")
    assert "exit code 7" in last["reason"]


def test_a_version_that_never_becomes_healthy(served: App) -> None:
    served.write("v2", "sick")
    message = fails(served, "v2", code=3)
    assert "did not become ready within 3 s" in message
    assert "HTTP 503" in message
    assert "model v2 starts in mode sick" in message


def test_a_dockerfile_that_fails(served: App) -> None:
    served.write("v2")
    with (served.folder / "Dockerfile").open("a") as file:
        file.write("RUN echo no such package >&2; exit 42\n")
    message = fails(served, "v2", code=3)
    assert "could not be built" in message
    assert "no such package" in message
    assert "42" in message


def test_a_missing_dockerfile(served: App) -> None:
    served.write("v2")
    (served.folder / "Dockerfile").unlink()
    message = fails(served, "v2", code=2)
    assert "build.dockerfile" in message
    assert "there is no" in message


def test_a_port_that_another_process_has(make_app: Callable[..., App]) -> None:
    app = make_app()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", app.port))
        holder.listen()
        done = app.run("release", "v1", code=2)
        assert f"proxy.listen: 127.0.0.1:{app.port} cannot be used" in done.stderr
        assert "another process uses it" in done.stderr
    assert app.left_over() == []


def test_two_state_folders_that_want_one_port(make_app: Callable[..., App]) -> None:
    one = make_app(state="one")
    two = make_app(state="two", port=one.port)
    one.release("v1")
    done = two.run("release", "v1", code=2)
    assert "another process uses it" in done.stderr
    assert one.serving() == "v1"
    assert two.left_over() == []


def test_a_moved_listen_address_that_is_taken_changes_nothing(served: App) -> None:
    served.write("v2")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        served.config["proxy"]["listen"] = f"127.0.0.1:{holder.getsockname()[1]}"
        served.write_config()
        message = fails(served, "v2", code=2)
    assert "another process uses it" in message


def test_an_engine_that_is_not_there(served: App) -> None:
    served.write("v2")
    done = served.run("release", "v2", code=3, env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert "the Docker engine does not answer" in done.stderr
    assert "docker version" in done.stderr
    assert "Traceback" not in done.stderr
    assert served.serving() == "v1"


def test_a_container_name_that_somebody_else_has(served: App) -> None:
    served.write("v2")
    name = served.names.container("mymodel", "v2", "green", 1)
    image = served.json("show", "v1")["image_id"]
    foreign = engine().containers.create(image, name=name)
    try:
        message = fails(served, "v2", code=3)
        assert name in message
        assert "rename or remove it" in message
        foreign.reload()
        assert foreign.status == "created"
    finally:
        foreign.remove()


def test_a_first_release_that_fails_leaves_nothing(app: App) -> None:
    app.config["health"]["deadline"] = "2s"
    app.release("v1", "sick", code=3)
    assert app.left_over() == []
    assert app.json("status")["state"] == "empty"
    app.config["health"]["deadline"] = "20s"
    app.release("v1")
    assert app.serving() == "v1"


def test_bad_configuration_names_every_field(served: App) -> None:
    before = served.containers()
    served.config["health"] |= {"timout": "2s", "successes": "two"}
    message = served.release("v2", code=2).stderr
    assert "health.timout" in message
    assert "did you mean" in message
    assert "health.successes" in message
    assert served.containers() == before
    assert served.serving() == "v1"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_at_a_safe_point_and_undoes(served: App, number: int, code: int) -> None:
    served.config["health"]["deadline"] = "60s"
    served.write("v2", "sick")
    before = served.containers()
    with Load(served.port, clients=4) as load:
        process = served.start("release", "v2")
        limit = time.monotonic() + 30
        while len(served.containers()) == len(before):
            assert time.monotonic() < limit
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)
        _, message = process.communicate(timeout=30)
    assert process.returncode == code
    assert load.failures() == []
    assert "stopped before traffic was switched" in message
    assert served.containers() == before
    assert served.json("history")["deployments"][0]["outcome"] == "undone"


def test_a_rollback_target_that_does_not_answer_is_restarted(app: App) -> None:
    app.release("v1")
    app.release("v2")
    warm = engine().containers.get(app.names.container("mymodel", "v1", "blue", 1))
    stop_all = "[os.kill(int(p), 19) for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())]"
    assert warm.exec_run(["python3", "-c", f"import os; {stop_all}"]).exit_code == 0
    with Load(app.port, clients=4) as load:
        done = app.run("rollback")
        time.sleep(0.3)
    assert "is warm but does not answer" in done.stderr
    assert load.failures() == []
    assert app.serving() == "v1"


def test_a_killed_live_container_and_a_killed_proxy_come_back(served: App) -> None:
    [name] = served.containers()
    engine().containers.get(name).kill()
    engine().containers.get(served.names.proxy).remove(force=True)
    found = served.json("status")
    assert found["state"] == "degraded"
    assert any("the proxy is missing" in text for text in found["problems"])
    served.run("recover")
    assert served.serving() == "v1"
    limit = time.monotonic() + 10
    while served.json("status")["state"] != "stable":
        assert time.monotonic() < limit, served.json("status")
        time.sleep(0.2)
    assert served.json("recover")["repaired"] == []


@pytest.mark.parametrize("damage", ["truncated", "rubbish", "deleted"])
@pytest.mark.parametrize("name", ["routes.map", "haproxy.cfg"])
def test_damaged_proxy_files_are_restored_from_the_ledger(served: App, name: str, damage: str) -> None:
    file = served.state_dir / "proxy" / name
    good = file.read_text()
    if damage == "deleted":
        file.unlink()
    else:
        file.write_text("" if damage == "truncated" else "\x00 rubbish {{{\n")
    served.run("recover")
    assert file.read_text() == good
    assert served.serving() == "v1"
    subprocess.run(["docker", "restart", "-t", "1", served.names.proxy], check=True, capture_output=True)
    limit = time.monotonic() + 10
    while True:
        try:
            assert served.serving() == "v1"
            break
        except (OSError, AssertionError):
            assert time.monotonic() < limit
            time.sleep(0.1)
