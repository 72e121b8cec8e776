"""Benchmark of the watchdog: the cost of a pass over one app and over many, and the time until a repair."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scripts.bench_traffic import Row, median, run, until
from tests.engine.harness import App, free_port

PROGRAM = str(Path(sys.executable).with_name("deployctl"))


def watching(folder: Path, runs: int, apps: int, imports: Callable[[], None]) -> list[Row]:
    """Passes over one app (alternating with U), over `apps` apps, and over an app whose container was killed."""
    return [*_one(folder, runs, imports), *_many(folder, runs, apps, imports)]


def _one(folder: Path, runs: int, imports: Callable[[], None]) -> list[Row]:
    app = App(folder / "watched", folder / "watched-state", name="watched")
    u, passes, memory, starts, healed = [], [], [], [], []
    try:
        app.config["health"]["successes"] = 1
        app.release("v1")
        box = next(c for c in app.engine_containers() if c.labels.get("deployctl.version") == "v1")
        for _ in range(runs):
            u.append(_timed(imports))
            took, kilobytes = _pass(app)
            passes.append(took)
            memory.append(kilobytes / 1024)
        for _ in range(runs):
            box.stop(timeout=1)
            started = time.perf_counter()
            run(["docker", "start", box.name])
            until("v1", app.port)
            starts.append(time.perf_counter() - started)
            # The engine does not restart a container that was killed: only a pass does.
            box.kill()
            started = time.perf_counter()
            process = subprocess.Popen(
                _command(app), cwd=app.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            healed.append(until("v1", app.port) - started)
            process.wait()
            # Avoids a third kill within a minute.
            _forget(app)
    finally:
        app.clean()
    unit, over = median(u), median(healed) - median(starts)
    return [
        ("U, measured again beside the next row", f"{unit * 1000:.0f} ms", "1 U", "-"),
        ("a pass over one healthy app", f"{median(passes) * 1000:.0f} ms", f"{median(passes) / unit:.2f} U", "1.8 U"),
        ("its memory", f"{median(memory):.0f} MB", "-", "80 MB"),
        ("docker start to first good reply", f"{median(starts) * 1000:.0f} ms", "-", "-"),
        (
            "a pass over a killed container, to first good reply",
            f"{median(healed) * 1000:.0f} ms",
            f"start + {over / unit:.2f} U",
            "start + 2.5 U",
        ),
    ]


def _many(folder: Path, runs: int, count: int, imports: Callable[[], None]) -> list[Row]:
    port, made, u, passes = free_port(), [], [], []
    try:
        for number in range(1, count + 1):
            app = App(folder / f"many{number}", folder / "crowd-state", name=f"many{number}", port=port)
            made.append(app)
            app.config["health"]["successes"] = 1
            app.config["proxy"]["host"] = [f"m{number}.test"]
            app.release("v1")
        for _ in range(runs):
            u.append(_timed(imports))
            passes.append(_pass(made[0], "--all")[0])
    finally:
        for app in made:
            app.clean()
    unit = median(u)
    return [
        ("U, measured again beside the next row", f"{unit * 1000:.0f} ms", "1 U", "-"),
        (
            f"a pass over {count} healthy apps",
            f"{median(passes) * 1000:.0f} ms",
            f"{median(passes) / unit:.2f} U",
            "6 U",
        ),
    ]


def _command(app: App, *more: str) -> list[str]:
    return [PROGRAM, "--state-dir", str(app.state_dir), "watchdog", "run", *more]


def _pass(app: App, *more: str) -> tuple[float, int]:
    """The wall time of one pass in seconds, and its peak memory in KB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        _command(app, *more), cwd=app.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - started
    process.stdout.close()
    assert (process.returncode, said) == (0, b""), (process.returncode, said)
    return took, usage.ru_maxrss


def _forget(app: App) -> None:
    with sqlite3.connect(app.state_dir / "ledger.db") as db:
        db.execute("DELETE FROM watch")
    db.close()


def _timed(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
