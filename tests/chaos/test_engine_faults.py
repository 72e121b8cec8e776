"""The engine is killed, restarted and frozen, at rest and at every step of a release."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.chaos import some
from tests.chaos.oracle import at_rest, outside
from tests.chaos.private import PrivateEngine
from tests.engine.harness import App, Load

# From the kill of the engine until its containers serve again: its start, and a second for the proxy's checks.
BACK = 15.0
STEPS = ("build", "create", "start", "register", "probe", "keep", "switch", "drain", "retire")


@pytest.fixture
def served(private_app: App) -> App:
    """v2 is live, v1 was stopped on purpose."""
    private_app.config["rollout"]["keep_warm"] = "0s"
    private_app.release("v1")
    private_app.release("v2")
    return private_app


def wait_for(app: App, version: str, limit: float) -> None:
    end = time.monotonic() + limit
    while True:
        try:
            if app.serving() == version:
                return
        except OSError:
            pass  # nothing listens yet
        assert time.monotonic() < end, f"{version} did not come back within {limit} s"
        time.sleep(0.1)


def running(app: App) -> set[str]:
    return {name.split("-")[1] for name, state in app.containers().items() if state == "running"}


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_at_rest(served: App, private_engine: PrivateEngine, way: str) -> None:
    with Load(served.port, clients=4, place=served.place) as load:
        time.sleep(0.5)
        begin = time.monotonic()
        getattr(private_engine, way)()
        private_engine.start()
        wait_for(served, "v2", BACK)
        end = time.monotonic()
        time.sleep(0.5)
    assert end - begin < BACK
    assert outside(load.replies, begin, end) == []
    assert running(served) == {"v2"}, "what was stopped on purpose stays stopped"
    at_rest(served, "v2")


@pytest.mark.parametrize("step", some(STEPS, 0, 2, 5, 6, 8))
def test_killed_in_the_middle_of_a_release(served: App, private_engine: PrivateEngine, step: str) -> None:
    served.write("v3")
    pid = private_engine.pid
    command = [*served.place.prefix, sys.executable, "-m", "tests.chaos.at", f"before:{step}", f"kill -9 {pid}"]
    done = subprocess.run(
        [*command, "--state-dir", str(served.state_dir), "release", "v3"],
        cwd=served.folder,
        env=served.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    private_engine.buried()
    assert "Traceback" not in done.stderr
    assert "the Docker engine does not answer" in done.stderr or done.returncode == 0, done.stderr
    # After the switch the release is finished, by the command itself or by the next one.
    # The switch itself needs no engine.
    switched = STEPS.index(step) >= STEPS.index("switch")
    expected = {0, 4} if switched else {0, 3}
    assert done.returncode in expected, done.stderr
    private_engine.start()
    served.run("recover")
    switched = switched or served.json("status")["live"]["version"] == "v3"
    version = "v3" if switched else "v2"
    wait_for(served, version, BACK)
    at_rest(served, version)
    assert running(served) == {version}


def test_frozen_in_the_middle_of_a_release(served: App, private_engine: PrivateEngine) -> None:
    served.write("v3")
    stop = f"kill -STOP {private_engine.pid}"
    command = [*served.place.prefix, sys.executable, "-m", "tests.chaos.at", "before:create", stop]
    with Load(served.port, clients=4, place=served.place) as load:
        begin = time.monotonic()
        done = subprocess.run(
            [*command, "--state-dir", str(served.state_dir), "release", "v3"],
            cwd=served.folder,
            env=served.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        took = time.monotonic() - begin
        private_engine.thaw()
        served.run("recover")
    assert done.returncode == 3, done.stderr
    assert "did not answer in time" in done.stderr
    assert "deployctl recover" in done.stderr
    assert took < 40
    assert load.failures() == []
    at_rest(served, "v2")


def test_frozen_during_a_build(served: App, private_engine: PrivateEngine) -> None:
    served.write("v3")
    dockerfile = served.folder / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "\nRUN sleep 30\n")
    process = served.start("release", "v3")
    assert process.stderr is not None
    for line in process.stderr:
        if "RUN sleep 30" in line:
            break
    private_engine.freeze()
    _, text = process.communicate(timeout=60)
    private_engine.thaw()
    assert process.returncode == 3, text
    assert "stopped answering during the build" in text
    served.run("recover")
    at_rest(served, "v2")


def test_frozen_at_rest(served: App, private_engine: PrivateEngine) -> None:
    private_engine.freeze()
    try:
        for command in (["release", "v3"], ["rollback"], ["status"], ["recover"]):
            served.write("v3")
            begin = time.monotonic()
            done = served.run(*command, code=None)
            assert done.returncode == 3, (command, done.stdout, done.stderr)
            assert "did not answer" in done.stderr
            assert time.monotonic() - begin < 20
        assert served.serving() == "v2", "an engine that hangs takes nothing from those who are served"
    finally:
        private_engine.thaw()
    at_rest(served, "v2")


def test_the_engine_is_the_tests_own(private_engine: PrivateEngine) -> None:
    assert os.readlink(f"/proc/{private_engine.pid}/ns/net") != os.readlink("/proc/self/ns/net")
