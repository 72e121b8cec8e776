"""The proxy is killed and its files are damaged: the next command restores the last good state from the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.chaos import FULL, some
from tests.chaos.oracle import at_rest, outside
from tests.engine.harness import App, Load

# scripts/test runs three tests on the same cores; scripts/chaos checks the promised time.
BACK = 3.0 if FULL else 6.0
FILES = ("routes.map", "versions.map", "haproxy.cfg")
DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2]),
    "zeroed": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
    "rubbish": lambda path: path.write_bytes(bytes(range(256)) * 8),
}


@pytest.fixture
def two(make_app: Callable[..., App]) -> tuple[App, App]:
    """Two apps behind one proxy, both with a rollback target."""
    one, other = make_app("one"), make_app("other")
    for app in (one, other):
        app.release("v1")
        app.release("v2")
    return one, other


def proxy_of(app: App) -> object:
    return app.place.client().containers.get(app.names.proxy)


@pytest.mark.parametrize(("name", "how"), some(list(product(FILES, DAMAGE)), 3, 4, 6, 10))
def test_a_damaged_file_under_a_running_proxy(two: tuple[App, App], name: str, how: str) -> None:
    one, other = two
    path = one.state_dir / "proxy" / name
    before = path.read_bytes()
    with Load(one.port, clients=4) as load, Load(other.port, clients=4) as others:
        time.sleep(0.3)
        DAMAGE[how](path)
        report = one.json("doctor", code=None)
        assert name in str([row for row in report["checks"] if not row["ok"]])
        if name == "routes.map":
            assert one.json("status", code=None)["state"] == "degraded"
        one.run("recover")
        time.sleep(0.5)
    assert path.read_bytes() == before
    assert load.failures() == []
    assert others.failures() == []
    at_rest(one, "v2")
    at_rest(other, "v2")


@pytest.mark.parametrize(("name", "how"), some(list(product(FILES[::2], DAMAGE)), 0, 3, 7, 9))
def test_a_damaged_file_and_a_proxy_that_starts_from_it(two: tuple[App, App], name: str, how: str) -> None:
    one, other = two
    DAMAGE[how](one.state_dir / "proxy" / name)
    proxy_of(one).kill()  # type: ignore[attr-defined]
    status = one.json("status", code=None)
    assert status["state"] == "degraded"
    begin = time.monotonic()
    one.run("recover")
    assert time.monotonic() - begin < BACK
    assert one.serving() == "v2"
    assert other.serving() == "v2"
    at_rest(one, "v2")
    at_rest(other, "v2")


@pytest.mark.parametrize(
    "how", some(["killed", "stopped", "removed", "paused", "its process killed", "its worker killed"], 0, 2, 3, 5)
)
def test_a_lost_proxy(two: tuple[App, App], how: str) -> None:
    one, other = two
    proxy = proxy_of(one)
    with Load(one.port, clients=4) as load:
        time.sleep(0.3)
        begin = time.monotonic()
        if how == "killed":
            proxy.kill()  # type: ignore[attr-defined]
        elif how == "stopped":
            proxy.stop(timeout=1)  # type: ignore[attr-defined]
        elif how == "removed":
            proxy.remove(force=True)  # type: ignore[attr-defined]
        elif how == "paused":
            proxy.pause()  # type: ignore[attr-defined]
        elif how == "its process killed":
            proxy.exec_run(["sh", "-c", "kill -9 1"])  # type: ignore[attr-defined]
            proxy.exec_run(["sh", "-c", "kill -9 -1"])  # type: ignore[attr-defined]
        else:
            proxy.exec_run(["sh", "-c", "kill -9 $(cat /proc/1/task/1/children)"])  # type: ignore[attr-defined]
        time.sleep(0.2)
        command = time.monotonic()
        one.run("recover")
        assert time.monotonic() - command < BACK + 1
        end = time.monotonic() + 0.5
        time.sleep(1.0)
    assert outside(load.replies, begin, end) == []
    assert one.serving() == "v2"
    assert other.serving() == "v2"
    at_rest(one, "v2")
    at_rest(other, "v2")


def test_a_lost_run_folder(two: tuple[App, App]) -> None:
    one, other = two
    for path in (one.state_dir / "proxy" / "run").iterdir():
        path.unlink()
    one.run("recover")
    assert one.serving() == "v2"
    at_rest(one, "v2")
    at_rest(other, "v2")
