"""The watchdog while the engine is down, and after a power failure."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.oracle import at_rest
from tests.chaos.private import PrivateEngine
from tests.engine.harness import App, until
from tests.unit.receivers import Receiver


@pytest.fixture
def served(private_app: App) -> App:
    """v2 is live, v1 was stopped on purpose."""
    private_app.config["health"]["timeout"] = "1s"
    private_app.config["rollout"]["keep_warm"] = "0s"
    private_app.config["watchdog"] = {"probes": 3, "failures": 2, "backoff": "100ms", "restarts": 3}
    private_app.release("v1")
    private_app.release("v2")
    return private_app


def serves(app: App) -> bool:
    try:
        return app.serving() == "v2"
    except OSError:
        return False


def running(app: App) -> set[str]:
    return {name.split("-")[1] for name, state in app.containers().items() if state == "running"}


def pull_the_plug(engine: PrivateEngine) -> None:
    """Ends the engine and everything that it runs at the same time."""
    client = engine.place.client()
    ours = [c.attrs["State"]["Pid"] for c in client.containers.list()]
    shims = [parent(pid) for pid in ours]
    engine.kill()
    for pid in [*shims, *ours]:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(runs(pid) for pid in [*shims, *ours]), "nothing runs any more")


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def receiver(served: App) -> Iterator[Receiver]:
    """A server that receives the notifications, in the engine's own namespace."""
    with ThreadPoolExecutor(1, initializer=served.place.enter) as thread:
        made = thread.submit(Receiver).result()
    with made:
        yield made


def test_the_engine_is_down(served: App, private_engine: PrivateEngine, receiver: Receiver) -> None:
    served.config["notify"] = {"urls": [f"json://127.0.0.1:{receiver.port}/"]}
    served.config["watchdog"]["heartbeat"] = f"http://127.0.0.1:{receiver.port}/beat"
    served.write_config()
    assert served.watch() == ""
    assert (receiver.got, receiver.gets) == ([], ["/beat"])
    private_engine.kill()
    said = served.watch(code=4)
    print(said)
    (line,) = said.splitlines()
    assert line.startswith("mymodel: the Docker engine does not answer")
    assert "; next: " in line
    assert served.watch(code=4) == "", "a known problem is not reported again"
    assert [got["title"] for got in receiver.got] == ["mymodel: v2 is degraded"]
    assert "the Docker engine does not answer" in receiver.got[0]["message"]
    assert receiver.gets == ["/beat"], "no sign of life while it cannot be looked at"
    private_engine.start()
    until(lambda: serves(served), "the engine has started all again")
    said = served.watch()
    print(said)
    assert [line for line in said.splitlines() if "has recovered" in line] == ["mymodel: mymodel has recovered"]
    until(lambda: served.json("status")["state"] == "stable", "rest")
    assert served.watch() == ""
    assert [got["title"] for got in receiver.got] == ["mymodel: v2 is degraded", "mymodel: v2 has recovered"]
    assert receiver.gets == ["/beat"] * 3
    assert running(served) == {"v2"}
    at_rest(served, "v2")


def test_after_a_power_cut(served: App, private_engine: PrivateEngine) -> None:
    pull_the_plug(private_engine)
    assert not serves(served)
    private_engine.start()
    begin = time.monotonic()
    said = served.watch(code=None)
    took = time.monotonic() - begin
    until(lambda: serves(served), "v2 serves")
    print(f"{said}the pass took {took:.2f} s, v2 served after {time.monotonic() - begin:.2f} s")
    until(lambda: served.json("status")["state"] == "stable", "rest")
    assert served.watch() == ""
    assert running(served) == {"v2"}, "what was stopped on purpose stays stopped"
    at_rest(served, "v2")


def test_after_a_power_cut_that_nothing_survives(served: App, private_engine: PrivateEngine) -> None:
    # As after a restore from a backup: no container restarts automatically.
    for container in served.engine_containers():
        container.update(restart_policy={"Name": "no"})
    pull_the_plug(private_engine)
    private_engine.start()
    assert running(served) == set()
    said = served.watch()
    until(lambda: serves(served), "v2 serves")
    print(said)
    until(lambda: served.json("status")["state"] == "stable", "rest")
    assert served.watch() == ""
    assert running(served) == {"v2"}
    at_rest(served, "v2")


def test_the_engine_restarts_while_a_release_waits(served: App, private_engine: PrivateEngine) -> None:
    served.config["rollout"]["bake"] = "12s"
    served.write("v3")
    process = served.start("release", "v3")
    assert process.stderr is not None
    assert any("watch v3" in line for line in process.stderr)
    private_engine.kill()
    time.sleep(2)
    private_engine.start()
    _, said = process.communicate(timeout=60)
    print(said)
    assert process.returncode == 0, said
    assert "v3 is live instead of v2, and stable" in said
    until(lambda: served.serving() == "v3", "v3 serves")
