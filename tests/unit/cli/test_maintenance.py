"""`maintenance` as it is typed, without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from orchestrator.cli.completing import candidates
from orchestrator.cli.root import app as program
from orchestrator.domain.traffic.maintenance import MESSAGE, RETRY_AFTER
from tests.unit.cli.running import Run, document, expect


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--message", ""], "--message: the message is empty"),
        (["--message", "x" * 501], "--message: the message has 501 characters, at most 500 are allowed"),
        (["--message", "a\nb"], "--message: the message has the character U+000A"),
        (["--hold", "11m"], "--hold: requests wait for at most 10 minutes"),
        (["--hold", "0s"], "--hold: must be longer than zero"),
        (["--hold", "soon"], "--hold: "),
        (["--retry-after", "0s"], "--retry-after: must be longer than zero"),
        (["--retry-after", "1 hour"], "--retry-after: "),
    ],
)
def test_an_invalid_value_names_its_option(run: Run, app: Path, arguments: list[str], why: str) -> None:
    done = run("maintenance", "on", *arguments)
    expect(done, 2)
    assert why in done.stderr
    assert not (app.parent / "state").exists(), "nothing was changed"
    assert document(run("--json", "maintenance", "on", *arguments))["error"]["code"] == 2


def test_the_help_has_the_defaults(run: Run) -> None:
    shown = " ".join(run("maintenance", "on", "--help").stdout.split())
    assert f"[default: {MESSAGE}]" in shown
    assert f"[default: {RETRY_AFTER}s]" in shown


def test_completion(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app.parent)
    root = get_command(program)
    assert isinstance(root, TyperGroup)

    def complete(*words: str) -> list[str]:
        return [candidate.word for candidate in candidates(root, words)]

    assert complete("maint") == ["maintenance"]
    assert complete("maintenance", "") == ["on", "off"]
    assert complete("maintenance", "on", "--me") == ["--message"]
    assert {"--hold", "--retry-after"} <= set(complete("maintenance", "on", "--"))
