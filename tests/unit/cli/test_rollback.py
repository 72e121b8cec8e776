"""`rollback`, as far as it goes without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.running import Run, expect


@pytest.mark.parametrize("command", [["rollback"], ["plan", "rollback"]])
def test_nothing_to_go_back_to(run: Run, app: Path, command: list[str]) -> None:
    done = run(*command)
    expect(done, 2)
    assert "error: mymodel has no live version" in done.stderr
