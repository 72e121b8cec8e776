"""SIGKILL at the file-changing system calls of a release: a half-written state is never served.

The crashes of `tests/engine/test_crashes.py` lie between two records; these lie inside one. First a release is
watched: which calls change something below the state folder? Then releases are killed as they enter the first of
these, the second, and so on, until one comes through. A call that is entered is not done any more. So a kill at
every call leaves behind every state that a crash can leave the files in. What was undone is released again: each
killed release begins with what the watched one began with.

What counts, and why:

- Only what is below the state folder, by strace's `-P`: the rest goes to the terminal, to Git and to the engine.
  `-P` needs the whole path of each file, so temporary files do not get random names here: see `same_names.py`.
- Not `openat`: the empty file that it leaves is there still when the first `write` is entered.
- Not what is mapped: the index of SQLite's log is in memory, and is recreated after a crash.
- strace counts each kind of call by itself, in each thread, after `-P` has chosen; one thread makes them all.
  With `--seccomp-bpf` it would be quicker, and count nothing.
- SQLite writes its log page by page, two calls each, and none of them is a state of its own before the last one of a
  transaction. `pwrite64` is two thirds of all calls: a full run takes every ninth, and each one of all other kinds.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.adapters.store import seen
from tests.chaos import FULL
from tests.chaos.oracle import at_rest, live_in_file
from tests.engine.harness import App, Load

CALLS = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range", "fallocate"),
    *("ftruncate", "truncate", "fsync", "fdatasync", "sync_file_range", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    *("chmod", "fchmod", "fchmodat", "utimensat"),
)
STRIDE = {"pwrite64": 9}
CI_CASES = 6
KILLED = -signal.SIGKILL
# 4711 fsync(3</folder/state/ledger.db>) = 0
LINE = re.compile(r"^(\d+) +(\w+)\((.*)$", re.MULTILINE)
VERSION = re.compile(r"\bv\d+\b")


@dataclass(frozen=True)
class Call:
    """A system call of a release: its kind, its number among those of its kind, and the file or folder."""

    kind: str
    number: int
    path: str


class Releases:
    """Releases of new versions of one app, traced or killed by strace."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.live, self.newest = "v0", 0
        self.calls: list[Call] = []

    def plain(self) -> None:
        """Releases the newest version if it was undone, else the next one, without a fault."""
        if self.live == f"v{self.newest}":
            self.newest += 1
        self.live = f"v{self.newest}"
        self.app.release(self.live)

    def next(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Releases the next version under strace with these options."""
        self.newest += 1
        self.app.write(f"v{self.newest}")
        # A release writes it only if it has changed: make sure that it has.
        (self.app.state_dir / "store" / "seen" / f"{self.app.name}.json").unlink(missing_ok=True)
        command = self.app.command("release", f"v{self.newest}", program="tests.chaos.same_names")
        done = subprocess.run(
            ["strace", "-f", "-qq", *options, *command],
            cwd=self.app.folder,
            env=self.app.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode in (0, KILLED), f"{options}: {done.returncode} {done.stderr}"
        if done.returncode == 0:
            self.live = f"v{self.newest}"
        return done

    def watch(self, log: Path) -> None:
        """Records the system calls of a release below the state folder, in order."""
        self.next("-y", "-s", "0", "-e", "signal=none", "-e", f"trace={','.join(CALLS)}", "-o", str(log))
        counts: Counter[str] = Counter()
        threads = set()
        for thread, kind, rest in LINE.findall(log.read_text()):
            path = re.search(rf'[<"]({re.escape(str(self.app.state_dir.resolve()))}(?:/[^>"]*)?)[>"]', rest)
            if path is None or "= -1 E" in rest:
                continue
            assert "unfinished" not in rest, rest
            threads.add(thread)
            counts[kind] += 1
            self.calls.append(Call(kind, counts[kind], path[1]))
        assert len(threads) == 1, "strace counts in each thread: these would be several sweeps"

    def kill(self, kind: str, number: int) -> bool:
        """Releases the next version and kills it at a call; False when it ended before that call."""
        paths = {call.path for call in self.calls if call.kind == kind}
        names = [f"v{number}" for number in range(max(1, self.newest - 8), self.newest + 2)]
        state = str(self.app.state_dir.resolve())
        for path in [path for path in paths if VERSION.search(path.removeprefix(state))]:
            paths |= {state + VERSION.sub(name, path.removeprefix(state)) for name in names}
        chosen = [option for path in sorted(paths) for option in ("-P", path)]
        inject = ("-e", f"trace={kind}", "-e", f"inject={kind}:signal=KILL:when={number}")
        return self.next("-o", os.devnull, *chosen, *inject).returncode == KILLED


@pytest.fixture
def releases(app: App, tmp_path: Path) -> Releases:
    if shutil.which("strace") is None:
        if sys.platform != "linux" or os.geteuid() != 0:
            pytest.skip("needs strace, which scripts/setup installs on Linux as root")
        pytest.fail("needs strace: scripts/setup installs it where there is apt-get")
    (app.folder / "model").mkdir()
    (app.folder / "model" / "weights").write_bytes(b"w" * 10_000)
    app.config["model"] = {"path": "model", "mount": "/model"}
    # So that each release also removes an old version.
    app.config["retention"]["versions"] = 2
    made = Releases(app)
    for _ in range(3):
        made.plain()
    time.sleep(seen.MARGIN / 1e9)  # until the sources are old enough for the cache
    made.watch(tmp_path / "calls")
    return made


def survives(releases: Releases, kind: str, number: int) -> bool:
    """Kills a release at a call and checks the promises afterwards; False when it ended before that call."""
    app, before = releases.app, releases.live
    route = live_in_file(app)
    with Load(app.port, clients=2) as load:
        killed = releases.kill(kind, number)
        after = f"v{releases.newest}"
        # Only the file shows whether the switch was made: the crash may come before its record.
        switched = live_in_file(app) != route
        app.run("recover")
        releases.live = after if switched else before
        at_rest(app, releases.live)
    assert switched or killed
    assert load.failures() == []
    assert {reply.version for reply in load.replies} <= {before, after}
    newest = app.json("history")["deployments"][0]
    if newest["to"] == after:
        assert newest["outcome"] == ("succeeded" if switched else "undone")
    else:
        assert not switched, "a switch without a record"
    if not switched:
        # The next release works, and starts from the same state.
        releases.plain()
        assert app.serving() == after
    return killed


def test_a_release_killed_at_its_file_changing_calls(releases: Releases) -> None:
    counts = Counter(call.kind for call in releases.calls)
    assert {"pwrite64", "fdatasync", "fsync", "write", "rename", "unlink", "mkdir"} <= set(counts)
    if not FULL:
        step = len(releases.calls) / CI_CASES
        for call in [releases.calls[int((index + 0.5) * step)] for index in range(CI_CASES)]:
            assert survives(releases, call.kind, call.number), call
        return
    for kind in counts:
        # After the last call of each kind the release ends normally.
        for number in itertools.count(1, STRIDE.get(kind, 1)):
            if not survives(releases, kind, number):
                break
        assert number > counts[kind] * 0.95, f"{kind}: number {number} of {counts[kind]} came through"
