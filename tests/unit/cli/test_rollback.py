"""`rollback` without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.running import Run, expect


@pytest.mark.parametrize("command", [["rollback"], ["plan", "rollback"]])
def test_no_live_version(run: Run, app: Path, command: list[str]) -> None:
    done = run(*command)
    expect(done, 2)
    assert "error: mymodel has no live version" in done.stderr
