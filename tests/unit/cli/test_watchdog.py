"""`watchdog` without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.running import Run, document, expect


@pytest.mark.parametrize("every", ["7m", "10s", "often"])
def test_a_schedule_that_cron_does_not_support(run: Run, app: Path, every: str) -> None:
    done = run("watchdog", "install", "--every", every)
    expect(done, 2)
    assert "error: " in done.stderr and "  next: " in done.stderr


def test_the_watchdog_is_not_installed(run: Run, app: Path) -> None:
    app.write_text(app.read_text().replace("mymodel", "not-scheduled"))
    report = document(run("watchdog", "status", "--json"))
    assert (report["schedules"], report["next"], report["passes"], report["problems"]) == ([], None, [], [])
    done = run("watchdog", "uninstall")
    expect(done, 0)
    assert done.stderr == "done: nothing to remove\n"
