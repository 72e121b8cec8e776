"""The global options and their environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.running import Run, document, expect


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--file", "other.toml", "config", "check"],
        ["config", "--json", "check", "--file", "other.toml"],
        ["config", "check", "-f", "other.toml", "--json"],
        ["config", "check", "--file=other.toml", "--json"],
    ],
)
def test_global_options_before_and_after_the_command(run: Run, app: Path, arguments: list[str]) -> None:
    app.rename(app.with_name("other.toml"))
    done = run(*arguments)
    expect(done, 0)
    expected = {"schema_version": 1, "file": "other.toml", "app": "mymodel", "findings": [], "notes": []}
    assert document(done) == expected


def test_options_override_environment_variables(run: Run, app: Path) -> None:
    app.rename(app.with_name("other.toml"))
    done = run("config", "check", DEPLOYCTL_FILE="other.toml", DEPLOYCTL_JSON="1")
    assert document(done)["file"] == "other.toml"
    done = run("config", "check", "--file", "third.toml", DEPLOYCTL_FILE="other.toml")
    expect(done, 2)
    assert "third.toml does not exist" in done.stderr


def test_quiet_leaves_the_errors(run: Run, tmp_path: Path) -> None:
    done = run("init", "--quiet")
    expect(done, 0)
    assert (done.stdout, done.stderr) == ("", "")
    done = run("init", "-q")
    assert "already exists" in done.stderr


def test_colour_is_for_terminals(run: Run, app: Path) -> None:
    for done in (run("plan"), run("status"), run("config", "check")):
        assert "\033" not in done.stdout + done.stderr
