"""A release that cannot fit into the memory of the machine is refused before anything starts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.engine.harness import App

MIB = 1 << 20
# The model holds 200 MiB, and 150 MiB of a file that it wrote are in the page cache.
HOLDS = "WEIGHTS = bytearray(b'x') * (200 << 20)\nopen('/app/file', 'wb').write(bytes(150 << 20))\n"


def total() -> int:
    """The machine's memory, in MiB."""
    return int(Path("/proc/meminfo").read_text().split()[1]) >> 10


def with_available(app: App, mib: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that is told that so much memory is available, in MiB."""
    lines = [line for line in Path("/proc/meminfo").read_text().splitlines() if not line.startswith("MemAvailable")]
    told = app.folder.parent / "meminfo"
    told.write_text("\n".join([*lines, f"MemAvailable: {mib << 10} kB"]) + "\n")
    replace = 'mount --bind "$0" /proc/meminfo && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", replace, str(told), *app.command(*arguments)],
        cwd=app.folder,
        env=app.environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_first_release_with_more_memory_than_there_is(app: App) -> None:
    app.config["run"]["memory"] = f"{total() + 1}m"
    app.write("v1")
    done = app.run("release", "v1", code=2)
    assert "error: v1 does not fit into the memory: run.memory allows it" in done.stderr
    assert "next: set a smaller run.memory" in done.stderr
    planned = app.run("plan", "release", "v1", code=2)
    assert "error: v1 does not fit into the memory: run.memory allows it" in planned.stderr
    assert "1. build the image" in planned.stdout
    fit = app.json("plan", "release", "v1", code=2)["fit"]
    assert (fit["verdict"], fit["memory"]["needed"]) == ("refused", (total() + 1) * MIB)
    assert app.containers() == {} and app.json("history")["deployments"] == []

    app.config["run"]["memory"] = "64m"
    app.write("v1")
    assert "memory: v1 needs up to 64 MiB; " in app.run("release", "v1").stderr
    assert app.serving() == "v1"


def test_a_model_that_fits_only_once(app: App) -> None:
    server = app.folder / "server.py"
    server.write_text(HOLDS + server.read_text())
    app.config["run"]["memory"] = "500m"
    app.release("v1")
    app.write("v2")
    before, deployments = app.containers(), app.json("history")["deployments"]

    # What v1 holds, and not the file: the kernel frees that.
    expected = app.json("plan", "release", "v2")["fit"]["memory"]["expected"]
    assert 200 * MIB <= expected <= 250 * MIB

    done = with_available(app, 190, "release", "v2")
    assert done.returncode == 2
    assert "error: v2 does not fit into the memory beside the running v1: run.memory allows it 500 MiB" in done.stderr
    assert 'next: rollout.strategy = "recreate" runs one copy at a time; or' in done.stderr
    planned = with_available(app, 190, "plan", "release", "v2", "--json")
    assert (planned.returncode, json.loads(planned.stdout)["fit"]["verdict"]) == (2, "refused")
    assert (app.containers(), app.json("history")["deployments"]) == (before, deployments)
    assert app.serving() == "v1"

    # The limit is more than is available, and what v1 uses is not.
    done = with_available(app, 300, "release", "v2")
    assert done.returncode == 0, done.stderr
    assert "memory is tight: v2 needs up to 500 MiB beside the running v1; 300 MiB" in done.stderr
    assert app.serving() == "v2"
