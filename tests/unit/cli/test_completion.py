"""Completion: the candidates for a word, and the scripts of the shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.cli.completing import candidates
from orchestrator.cli.completion_scripts import SCRIPTS
from orchestrator.cli.root import app as program
from orchestrator.cli.table import TABLE
from tests.unit.builders import version
from tests.unit.cli.running import Run, expect
from tests.unit.program import PROGRAM, ROOT

GLOBALS = {"--file", "--json", "--quiet", "--no-color", "--state-dir", "--version", "--help"}
HEAVY = {"docker", "httpx", "requests", "rich", "numpy", "apprise", "tenacity", "websocket", "urllib3"}
Complete = Callable[..., list[str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with a stable v1, a v2 that failed, a pruned v9 and a stable v10."""
    folder = tmp_path / "state"
    folder.mkdir()
    ledger = SqliteLedger(folder / "ledger.db", now=lambda: "2031-01-01T00:00:00.000Z")
    ledger.app_number("mymodel")
    for name, stable in (("v1", True), ("v2", False), ("v9", True), ("v10", True)):
        ledger.record_version(version(name, stable=stable))
    ledger.mark_pruned("mymodel", "v9")
    ledger.close()
    return folder / "ledger.db"


@pytest.fixture
def complete(tmp_path: Path, app: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """The candidates for the last of some words, in the folder of the app."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEPLOYCTL_STATE_DIR", str(tmp_path / "state"))
    root = get_command(program)
    assert isinstance(root, TyperGroup)
    return lambda *words: [candidate.word for candidate in candidates(root, words)]


# --- candidates --------------------------------------------------------------------------------------------------


def test_commands(complete: Complete) -> None:
    visible = [name for name, entry in TABLE.items() if not entry.hidden]
    assert complete("") == complete() == complete("--json", "") == visible
    assert complete("st") == ["status"]
    assert complete("--state-dir", "st", "re") == ["release", "resume", "recover", "remove"]
    assert complete("nonsense", "") == complete("__") == []


def test_the_commands_of_a_group(complete: Complete) -> None:
    assert complete("proxy", "") == ["up", "status", "reload", "upgrade", "down"]
    assert complete("watchdog", "--json", "un") == ["uninstall"]
    assert complete("proxy", "nonsense", "") == []


def test_options_are_those_of_the_command_and_of_the_program(complete: Complete) -> None:
    own = {"--wait", "--detach", "--force", "--ref", "--image", "--logs", "--preview", "--together"}
    assert set(complete("release", "--")) == own | GLOBALS
    assert len(complete("release", "--")) == len(own | GLOBALS), "each once"
    assert set(complete("-")) == GLOBALS | {"-f", "-q", "-h"}
    assert complete("release", "v2", "--fo") == ["--force"]
    assert complete("watchdog", "install", "--ev") == ["--every"]
    assert complete("--version", "status", "--wa") == ["--watch"]


def test_what_belongs_to_another_program_is_not_completed(complete: Complete) -> None:
    assert complete("exec", "") == complete("exec", "ls", "--") == complete("exec", "ls", "--file", "") == []
    assert complete("release", "--", "--f") == []


@pytest.mark.parametrize("option", ["-f", "--file"])
def test_the_values_of_global_options(complete: Complete, option: str) -> None:
    assert complete(option, "") == complete("status", option, "de") == [":files"]
    assert complete("--state-dir", "") == complete("status", "--state-dir", "x") == [":folders"]
    assert complete("log", "") == complete("log", "model/") == [":files"]


def test_an_option_and_its_value_in_one_word(complete: Complete, ledger: Path) -> None:
    assert complete("rollback", "--to=v") == ["--to=v10", "--to=v1"]
    assert (
        complete("rollback", "--to", "=", "v") == complete("rollback", "--to", "=") == ["v10", "v1"]
    )  # as Bash splits
    assert complete("--file=de") == complete("--file", "=", "de") == [":files"]


@pytest.mark.parametrize("command", [["show"], ["diff"], ["diff", "v1"], ["logs"]])
def test_versions_newest_first(complete: Complete, ledger: Path, command: list[str]) -> None:
    assert complete(*command, "") == ["v10", "v9", "v2", "v1"]
    assert complete(*command, "v1") == ["v10", "v1"]


def test_versions_that_a_command_can_take(complete: Complete, ledger: Path) -> None:
    assert complete("release", "") == complete("plan", "release", "") == ["v11", "v10", "v2", "v1"]
    assert complete("rollback", "--to", "") == ["v10", "v1"]
    assert complete("plan", "") == ["release", "rollback"]
    assert complete("remove", "") == complete("remove", "my") == ["mymodel"]
    assert complete("show", "v1", "") == complete("diff", "v1", "v2", "") == complete("rollback", "") == []
    assert complete("completion", "") == ["bash", "zsh", "fish"]
    assert complete("plan", "rollback", "") == ["v10", "v1"]
    assert complete("events", "--of", "v1") == ["v10", "v1"]
    assert complete("metrics", "--app", "") == ["mymodel"]


def test_the_names_of_reports_and_events(complete: Complete) -> None:
    names = complete("config", "report-schema", "")
    assert "status" in names and names.count("proxy") == 1
    assert "up" in complete("config", "report-schema", "proxy", "")
    assert complete("config", "report-schema", "status", "") == []
    assert "healed" in complete("events", "--kind", "")


def test_without_a_ledger_there_are_no_versions(complete: Complete, tmp_path: Path, app: Path) -> None:
    assert complete("show", "") == []
    assert not (tmp_path / "state").exists(), "completion creates nothing"
    assert complete("release", "") == ["v1"]
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "ledger.db").write_text("this is not a database " * 100)
    assert complete("show", "") == []
    app.write_text("[app")
    assert complete("show", "") == []
    app.unlink()
    assert complete("show", "") == []


def test_the_ledger_is_only_read(complete: Complete, ledger: Path, tmp_path: Path) -> None:
    before = ledger.read_bytes()
    assert complete("show", "") != []
    assert [path.name for path in ledger.parent.iterdir()] == ["ledger.db"]
    assert ledger.read_bytes() == before


def test_the_state_folder_and_the_file_on_the_line_are_used(complete: Complete, ledger: Path, app: Path) -> None:
    ledger.parent.rename(ledger.parent.with_name("elsewhere"))
    app.rename(app.with_name("other.toml"))
    assert complete("show", "") == []
    assert complete("--file", "other.toml", "show", "--state-dir", "elsewhere", "v9") == ["v9"]


# --- the hidden command ------------------------------------------------------------------------------------------


def test_a_candidate_is_a_line_with_its_help(run: Run) -> None:
    done = run("__complete", "--", "stat")
    expect(done, 0)
    assert done.stdout == "status\tShow what is live and how a rollback would go\n"
    done = run("__complete", "--", "--json", "rollback", "--t")
    assert done.stdout == "--to\tVersion to roll back to; default: the last stable one.\n"
    assert "__complete" not in run("--help").stdout


@pytest.mark.parametrize("words", [[""], ["release", "--"], ["show", "v"], ["watchdog", "run", "-"], ["metrics", "--"]])
def test_completing_loads_nothing_heavy(tmp_path: Path, ledger: Path, app: Path, words: list[str]) -> None:
    code = (
        "import sys\nfrom orchestrator.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "__complete", "--", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DEPLOYCTL_STATE_DIR": str(ledger.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout != ""
    assert done.stderr == "\n"


# --- the scripts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_of_each_shell(run: Run, shell: str) -> None:
    done = run("completion", shell)
    expect(done, 0)
    assert (done.stdout, done.stderr) == (SCRIPTS[shell], "")
    assert "__complete --" in done.stdout
    assert f"deployctl completion {shell}" in done.stdout.split("\n_deployctl")[0].split("\nfunction")[0]
    program = shutil.which(shell)
    if program is None:
        # Without the shell, check at least that all blocks are closed.
        assert done.stdout.count("{\n") == done.stdout.count("\n}\n")
        assert done.stdout.count("\n    for ") == done.stdout.count("\n    done\n") + done.stdout.count("\n    end\n")
    else:
        checked = subprocess.run([program, "-n"], input=done.stdout, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell(run: Run) -> None:
    done = run("completion", "tcsh")
    expect(done, 2)
    assert done.stderr == "error: no completion script for 'tcsh'\n  next: choose one of: bash, zsh, fish\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["deployctl", "stat"], ["status"]),
        (["deployctl", "proxy", ""], ["up", "status", "reload", "upgrade", "down"]),
        (["deployctl", "rollback", "--to", "v"], ["v10", "v1"]),
        (["deployctl", "rollback", "--to", "=", "v"], ["v10", "v1"]),
        (["deployctl", "rollback", "--to", "="], ["v10", "v1"]),
        (["deployctl", "--file", "a "], ["a file.toml"]),
        (["deployctl", "--state-dir", "st"], ["state"]),
        (["deployctl", "status", "nothing"], []),
    ],
)
def test_bash_completes(tmp_path: Path, ledger: Path, app: Path, line: list[str], expected: list[str]) -> None:
    app.with_name("a file.toml").write_text("")
    wrapper = tmp_path / "bin" / "deployctl"
    wrapper.parent.mkdir()
    wrapper.write_text(f"#!/bin/sh\nexec '{PROGRAM[0]}' -c '{PROGRAM[2]}' \"$@\"\n")
    wrapper.chmod(0o755)
    script = (
        "source <(deployctl completion bash)\n"
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
        "complete -p deployctl >/dev/null || exit 9\n"
        "_deployctl\n"
        '((${#COMPREPLY[@]} == 0)) || printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *line],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "DEPLOYCTL_STATE_DIR": str(ledger.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == expected
