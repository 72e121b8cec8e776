"""SIGINT, SIGTERM and SIGHUP at every step: the command stops at a safe point, records it, and reports it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.chaos import FULL
from tests.chaos.oracle import at_rest
from tests.engine.harness import App, Load
from tests.engine.test_crashes import RELEASE

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CASES = [(number, step) for step in RELEASE for number in SIGNALS]
if not FULL:
    # Every step once, every signal four times.
    CASES = [(SIGNALS[index % 3], step) for index, step in enumerate(RELEASE)]


@pytest.mark.parametrize(("number", "step"), CASES)
def test_a_signal_at_a_step(app: App, number: signal.Signals, step: str) -> None:
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v1")
    app.write("v2")
    command = [sys.executable, "-m", "tests.chaos.at", f"before:{step}", f"kill -{number.value} $PPID"]
    with Load(app.port, clients=4) as load:
        done = subprocess.run(
            [*command, "--state-dir", str(app.state_dir), "release", "v2"],
            cwd=app.folder,
            env=app.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        recorded = app.json("history")["deployments"][0]
        # A step that has started is finished: the safe point is after it.
        switched = RELEASE.index(step) >= RELEASE.index("switch")
        version = "v2" if switched else "v1"
        assert app.serving() == version
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    assert recorded["outcome"] == ("succeeded" if switched else "undone"), "the journal is closed already"
    assert load.failures() == []
    at_rest(app, version)
    assert len(app.containers()) == (2 if switched else 1)
