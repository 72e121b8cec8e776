"""How errors end every command: exit code, streams, JSON."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.running import Run, document, expect
from tests.unit.program import PROGRAM


@pytest.mark.parametrize("command", [["status"], ["release", "v1"], ["config", "check"], ["doctor"], ["rollback"]])
def test_deploy_toml_does_not_exist(run: Run, command: list[str]) -> None:
    done = run(*command)
    expect(done, 2)
    assert done.stdout == ""
    assert done.stderr == "error: deploy.toml does not exist\n  next: run 'deployctl init' to write one\n"


def test_an_error_has_no_terminal_control_characters(run: Run) -> None:
    done = run("status", "--file", "\033[2J\nnext.toml", "--json")
    expect(done, 2)
    assert done.stderr.startswith("error: \\x1b[2J\\nnext.toml does not exist\n  next: ")
    assert document(done)["error"]["message"] == "\033[2J\nnext.toml does not exist"


def test_an_error_as_json(run: Run) -> None:
    done = run("status", "--json")
    expect(done, 2)
    assert document(done) == {
        "schema_version": 1,
        "error": {
            "code": 2,
            "message": "deploy.toml does not exist",
            "why": "",
            "details": "",
            "next": "run 'deployctl init' to write one",
            "findings": [],
        },
    }
    assert done.stderr.startswith("error: deploy.toml does not exist\n")


@pytest.mark.parametrize("command", [["status"], ["release", "v1"], ["proxy", "up"], ["proxy", "status"]])
def test_the_engine_does_not_answer(run: Run, app: Path, command: list[str]) -> None:
    done = run(*command)
    expect(done, 3)
    assert done.stdout == ""
    assert "error: the Docker engine does not answer\n  why: its socket does not exist\n" in done.stderr
    assert "next: check that it runs and that you have access: docker version" in done.stderr


def test_the_state_folder_cannot_be_made(run: Run, app: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("status", "--state-dir", str(tmp_path / "file" / "state"))
    expect(done, 2)
    assert "cannot be created" in done.stderr
    assert "next: use --state-dir, or run the command as root" in done.stderr


def test_no_secret_is_shown(run: Run, app: Path) -> None:
    app.write_text(app.read_text() + '[run]\nenv = { TOKEN = "s3cret" }\n')
    for command in (["plan"], ["plan", "--json"], ["config", "check", "--json"], ["release", "v1", "--json"]):
        done = run(*command)
        assert "s3cret" not in done.stdout + done.stderr


def test_the_ledger_is_not_readable_by_others(run: Run, app: Path, tmp_path: Path) -> None:
    run("plan")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "ledger.db").stat().st_mode) == 0o600


def test_a_command_that_ends_leaves_the_ledger_in_one_file(run: Run, app: Path, tmp_path: Path) -> None:
    expect(run("history"), 0)
    assert [path.name for path in (tmp_path / "state").glob("ledger*")] == ["ledger.db"]


@pytest.mark.parametrize("command", [["--help"], ["status"], ["release", "v1"]])
def test_ctrl_c_while_modules_load_ends_the_program_without_a_traceback(command: list[str], tmp_path: Path) -> None:
    # typer is what the program imports first.
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [*PROGRAM, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
