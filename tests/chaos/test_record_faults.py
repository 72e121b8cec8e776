"""The ledger is damaged, lost, newer or read-only, and the disk is full: nothing changes without a record."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos import some
from tests.chaos.oracle import at_rest
from tests.engine.harness import App, Load


@pytest.fixture
def served(app: App) -> App:
    app.config["run"]["env"] = {"TOKEN": "value"}
    app.release("v1")
    app.release("v2")
    return app


def world(app: App) -> tuple[dict[str, str], dict[str, bytes]]:
    """Everything that clients could notice: containers, and the proxy's files."""
    files = {path.name: path.read_bytes() for path in (app.state_dir / "proxy").iterdir() if path.is_file()}
    return app.containers(), files


def zeroed(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def torn(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(b"rubbish " * 4096),
    "zeroed": zeroed,
    "torn": torn,
}


@pytest.mark.parametrize("how", some(list(DAMAGE), 0, 4))
def test_a_lost_ledger(served: App, how: str) -> None:
    before = world(served)
    ledger = served.state_dir / "ledger.db"
    with sqlite3.connect(ledger) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with Load(served.port, clients=4) as load:
        DAMAGE[how](ledger)
        for suffix in ("-wal", "-shm"):
            Path(f"{ledger}{suffix}").unlink(missing_ok=True)
        served.write("v3")
        for command in (["release", "v3"], ["rollback"], ["recover"], ["prune"], ["status"]):
            done = served.run(*command, code=4)
            assert "deployctl recover --rebuild-ledger" in done.stderr + done.stdout, command
        assert world(served) == before
        report = served.json("doctor", code=None)
        assert "ledger" in [row["name"] for row in report["checks"] if not row["ok"]]
        served.run("recover", "--rebuild-ledger")
        assert world(served) == before
        status = served.json("status")
        assert status["live"]["version"] == "v2"
        assert status["previous"]["version"] == "v1"
        assert status["previous"]["rollback"]["mode"] == "switch"
        assert "value" not in str([container.labels for container in served.engine_containers()])
        at_rest(served, "v2")
        served.run("rollback")
        served.release("v3")
    assert load.failures() == []
    assert "TOKEN=value" in served.get("/env")[2]
    at_rest(served, "v3")


def test_a_lost_state_folder(served: App) -> None:
    shutil.rmtree(served.state_dir)
    served.write("v3")
    done = served.run("release", "v3", code=4)
    assert "has no record of mymodel" in done.stderr
    served.run("recover", "--rebuild-ledger")
    at_rest(served, "v2")


def test_a_ledger_from_a_newer_version(served: App) -> None:
    before = world(served)
    with sqlite3.connect(served.state_dir / "ledger.db") as db:
        number = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {number + 1}")
    served.write("v3")
    for command in (["release", "v3"], ["rollback"], ["recover"], ["recover", "--rebuild-ledger"]):
        done = served.run(*command, code=2)
        assert "written by another release of deployctl" in done.stderr
    assert world(served) == before
    db.execute(f"PRAGMA user_version = {number}")
    db.close()
    at_rest(served, "v2")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB for the state folder."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def on(folder: Path, tmp_path: Path) -> App:
    app = App(tmp_path / "app", folder / "state")
    app.release("v1")
    app.release("v2")
    return app


def fill(folder: Path, leave: int) -> Path:
    """Fills the disk except for `leave` bytes."""
    hog = folder / "hog"
    free = shutil.disk_usage(folder).free
    with hog.open("wb") as file, contextlib.suppress(OSError):
        file.write(b"\0" * max(0, free - leave))
    return hog


@pytest.mark.parametrize("leave", some([0, 4096, 16384, 32768, 65536, 131072], 0, 3, 5))
def test_a_full_disk(small: Path, tmp_path: Path, leave: int) -> None:
    app = on(small, tmp_path)
    try:
        before = world(app)
        with Load(app.port, clients=4) as load:
            hog = fill(small, leave)
            app.write("v3")
            done = app.run("release", "v3", code=None)
            assert done.returncode in (0, 3, 4), (done.returncode, done.stderr)
            assert "Traceback" not in done.stderr
            if done.returncode == 3:
                assert (
                    "check that the disk is not full" in done.stderr
                    or "disk is neither full nor read-only" in done.stderr
                )
                assert app.serving() == "v2"
            hog.unlink()
            app.run("recover")
        assert load.failures() == []
        version = app.json("status")["live"]["version"]
        # 4: neither the finish nor the undo could be recorded; the traffic shows the state.
        assert version in {0: ("v3",), 3: ("v2",), 4: ("v2", "v3")}[done.returncode]
        newest = app.json("history")["deployments"][0]
        if newest["to"] == "v2" or "vacate" not in [step["name"] for step in newest["steps"]]:
            assert world(app)[1] == before[1], "the old configuration stays byte for byte"
        at_rest(app, version)
    finally:
        app.clean()


def test_a_read_only_disk(small: Path, tmp_path: Path) -> None:
    app = on(small, tmp_path)
    try:
        before = world(app)
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        app.write("v3")
        for command in (["release", "v3"], ["rollback"], ["recover"]):
            done = app.run(*command, code=None)
            assert done.returncode in (2, 3, 4), (command, done.returncode, done.stderr)
            assert "Traceback" not in done.stderr
            assert "error:" in done.stderr
        assert world(app) == before
        assert app.serving() == "v2"
        subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
        at_rest(app, "v2")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
        app.clean()
