"""One command at a time; a lock is released when its process ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.adapters.posix import locks
from orchestrator.adapters.posix.locks import FileLocks
from orchestrator.errors import Locked

SINCE = "2031-05-06T07:08:09.000Z"
HOLDER = """
import sys
from pathlib import Path
from orchestrator.adapters.posix.locks import FileLocks
held = FileLocks(Path(sys.argv[1]), command="deployctl release v2", now=lambda: "2031-05-06T07:08:09.000Z")
with held.app("mymodel"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def mine(tmp_path: Path) -> FileLocks:
    return FileLocks(tmp_path / "locks", command="deployctl rollback", now=lambda: SINCE)


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_error_of_a_second_process_names_the_holder(mine: FileLocks, tmp_path: Path) -> None:
    with another_process(tmp_path / "locks") as process:
        with pytest.raises(Locked) as caught, mine.app("mymodel"):
            pytest.fail("two processes hold the lock")
        assert caught.value.exit_code == 75
        assert caught.value.message == "app mymodel is locked by another command"
        assert caught.value.why == f"'deployctl release v2', pid {process.pid}, since {SINCE}"
        holder = {"command": "deployctl release v2", "pid": process.pid, "since": SINCE}
        assert mine.holder("mymodel") == holder


def test_a_look_is_waited_for(mine: FileLocks, tmp_path: Path) -> None:
    # A user's command during a pass of the watchdog waits.
    watchdog = FileLocks(tmp_path / "locks", command="deployctl watchdog run", now=lambda: SINCE)
    begun, end = threading.Event(), threading.Event()

    def look() -> None:
        with watchdog.app("mymodel", looking=True):
            begun.set()
            end.wait(10)

    watcher = threading.Thread(target=look)
    watcher.start()
    assert begun.wait(10)
    with pytest.raises(Locked), mine.app("mymodel", looking=True):
        pytest.fail("two look at once")
    threading.Timer(0.2, end.set).start()
    with mine.app("mymodel"):
        assert end.is_set()
    watcher.join()


def test_a_look_that_does_not_end_is_not_waited_for_longer(
    mine: FileLocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_LOOK_WAIT", 0.1)
    watchdog = FileLocks(tmp_path / "locks", command="deployctl watchdog run", now=lambda: SINCE)
    with watchdog.app("mymodel", looking=True), pytest.raises(Locked) as caught, mine.app("mymodel"):
        pytest.fail("two hold the lock")
    assert caught.value.why.startswith("'deployctl watchdog run', pid ")


def test_another_app_is_free(mine: FileLocks, tmp_path: Path) -> None:
    with another_process(tmp_path / "locks"), mine.app("other"), mine.proxy():
        assert mine.holder("other") is not None


def test_it_is_freed_when_its_holder_is_killed(mine: FileLocks, tmp_path: Path) -> None:
    with another_process(tmp_path / "locks") as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        assert mine.holder("mymodel") is None
        with mine.app("mymodel"):
            pass


def test_a_second_descriptor_of_one_process_is_refused_too(mine: FileLocks, tmp_path: Path) -> None:
    other = FileLocks(tmp_path / "locks", command="deployctl prune", now=lambda: SINCE)
    with mine.app("mymodel"), pytest.raises(Locked, match="deployctl rollback"), other.app("mymodel"):
        pytest.fail("two hold the lock")
    with other.app("mymodel"):
        pass


def test_it_is_freed_by_an_error(mine: FileLocks) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), mine.app("mymodel"):
            raise error
        assert mine.holder("mymodel") is None


def test_without_a_holder(mine: FileLocks) -> None:
    assert mine.holder("mymodel") is None


def test_the_holder_of_before_is_overwritten(mine: FileLocks, tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "mymodel.lock").write_text("x" * 500)
    with mine.app("mymodel"):
        found = mine.holder("mymodel")
        assert found is not None
        assert found["command"] == "deployctl rollback"


@pytest.mark.parametrize("text", ["", "{", "[]", '"deployctl"'])
def test_a_holder_that_has_not_written_its_name_yet(mine: FileLocks, tmp_path: Path, text: str) -> None:
    with mine.app("mymodel"):
        (tmp_path / "locks" / "mymodel.lock").write_text(text)
        assert mine.holder("mymodel") == {}
        with pytest.raises(Locked) as caught, mine.app("mymodel"):
            pass
        assert caught.value.why == "'unknown', pid ?, since ?"


def test_the_file_says_who_holds_it(mine: FileLocks, tmp_path: Path) -> None:
    with mine.app("mymodel"):
        found = json.loads((tmp_path / "locks" / "mymodel.lock").read_text())
        assert found["command"] == "deployctl rollback"


def test_reading_the_holder_does_not_refuse_others(mine: FileLocks, tmp_path: Path) -> None:
    # `status --watch` reads the holder during a release.
    looking = FileLocks(tmp_path / "locks", command="deployctl status", now=lambda: SINCE)
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            looking.holder("mymodel")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(2000):
            with mine.app("mymodel"):
                pass
    finally:
        ended.set()
        watcher.join()


def test_the_proxy_lock_waits_and_then_says_so(
    mine: FileLocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PROXY_WAIT", 0.05)
    other = FileLocks(tmp_path / "locks", command="deployctl", now=lambda: SINCE)
    with other.proxy():
        with pytest.raises(Locked, match="another command has held the proxy's lock") as caught, mine.proxy():
            pytest.fail("two hold the proxy's lock")
        assert caught.value.exit_code == 75
    with mine.proxy():
        pass


def test_the_proxy_lock_is_acquired_as_soon_as_it_is_free(mine: FileLocks, tmp_path: Path) -> None:
    other = FileLocks(tmp_path / "locks", command="deployctl", now=lambda: SINCE)
    free = threading.Event()
    got = threading.Event()

    def hold() -> None:
        with other.proxy():
            got.set()
            free.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert got.wait(10)
    threading.Timer(0.05, free.set).start()
    with mine.proxy():
        assert free.is_set()
    holder.join()
