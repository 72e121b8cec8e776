"""`release --together` and several files, without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.running import Run, document, expect

FILES = ("-f", "deploy.toml", "-f", "other.toml")


@pytest.fixture
def both(app: Path) -> Path:
    """Two files of two apps, beside each other."""
    text = app.read_text()
    app.with_name("other.toml").write_text(text.replace('"mymodel"', '"other"').replace("38471", "38472"))
    return app


@pytest.mark.parametrize("command", [("status",), ("rollback",), ("list",), ("plan", "release"), ("config", "check")])
def test_other_commands_refuse_several_files(run: Run, both: Path, command: tuple[str, ...]) -> None:
    done = run(*command, *FILES)
    expect(done, 2)
    assert "error: --file was given 2 times" in done.stderr
    assert f"{command[0]} works with one app" in done.stderr


def test_several_files_need_together(run: Run, both: Path) -> None:
    done = run("release", *FILES)
    expect(done, 2)
    assert "next: give one file, or add --together" in done.stderr
    done = run("release", "--together", "-f", "other.toml")
    expect(done, 2)
    assert "error: --together needs at least two files" in done.stderr


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (("v2",), "a version"),
        (("--ref", "HEAD"), "--ref"),
        (("--image", "ci:1"), "--image"),
        (("--preview",), "--preview"),
        (("--wait",), "--wait"),
    ],
)
def test_options_of_one_app(run: Run, both: Path, option: tuple[str, ...], named: str) -> None:
    done = run("release", *FILES, "--together", *option)
    expect(done, 2)
    assert f"error: {named} cannot be used with --together" in done.stderr


def test_a_file_that_is_wrong(run: Run, both: Path) -> None:
    both.with_name("other.toml").write_text("[app]\n")
    done = run("release", *FILES, "--together", "--json")
    expect(done, 2)
    assert "other.toml" in document(done)["error"]["message"]
    done = run("release", "-f", "deploy.toml", "-f", "deploy.toml", "--together")
    expect(done, 2)
    assert "error: app mymodel was given twice" in done.stderr


def test_a_canary_is_refused(run: Run, both: Path) -> None:
    other = both.with_name("other.toml")
    other.write_text(other.read_text() + '[rollout]\nstrategy = "canary"\nstages = ["5% 5m"]\n')
    done = run("release", *FILES, "--together")
    expect(done, 2)
    assert 'error: rollout.strategy of other is "canary"' in done.stderr
    assert 'next: set strategy = "blue-green" in other.toml, or release other by itself' in done.stderr


def test_without_an_engine_none_is_released(run: Run, both: Path) -> None:
    done = run("release", *FILES, "--together")
    expect(done, 3)
    assert "the Docker engine does not answer" in done.stderr
    assert "nothing was switched: mymodel, other serve what they served before" in done.stderr
    for file, outcome in (("deploy.toml", "failed"), ("other.toml", "undone")):
        (deployment,) = document(run("history", "-f", file, "--json"))["deployments"]
        assert (deployment["outcome"], deployment["to"]) == (outcome, "v1")


def test_the_variable_names_one_file(run: Run, both: Path) -> None:
    both.rename(both.with_name("a:b c.toml"))
    done = run("config", "check", "--json", DEPLOYCTL_FILE="a:b c.toml")
    assert document(done)["file"] == "a:b c.toml"
