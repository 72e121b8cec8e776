"""The help of the program and of every command, and which modules it loads."""

from __future__ import annotations

import os
import re
import string
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from orchestrator import __version__
from orchestrator.cli.root import app as program
from orchestrator.cli.table import TABLE
from tests.unit.cli.running import Run, expect
from tests.unit.program import ROOT, start

WIDTH = 80
HELP = """\
Usage: deployctl [OPTIONS] COMMAND [ARGS]...

  Release and roll back models without losing a request.

Options:
  -f, --file path   Configuration file.  [env var: DEPLOYCTL_FILE; default:
                    deploy.toml]
  --json            Print one JSON document on stdout.  [env var:
                    DEPLOYCTL_JSON]
  -q, --quiet       Print no progress and no notes.  [env var:
                    DEPLOYCTL_QUIET]
  --no-color        Do not use colours.  [env var: DEPLOYCTL_NO_COLOR]
  --state-dir path  Folder of the ledger and of the proxy files.  [env var:
                    DEPLOYCTL_STATE_DIR]
  --version         Print the version and exit.
  -h, --help        Show this message and exit.

Commands:
"""
NAMES = [name for name, entry in TABLE.items() if not entry.hidden]


def command_of(name: str) -> Any:
    return get_command(import_module(TABLE[name].module).app)


def commands() -> dict[str, Any]:
    """Every command by its full name, including those of groups."""
    by_name: dict[str, Any] = {}
    for name in TABLE:
        command = command_of(name)
        by_name[name] = command
        by_name |= {f"{name} {sub}": each for sub, each in getattr(command, "commands", {}).items()}
    return by_name


COMMANDS = commands()


def test_help_lists_the_commands(run: Run) -> None:
    done = run("--help", COLUMNS=str(WIDTH))
    expect(done, 0)
    assert done.stderr == ""
    head, rows = done.stdout.split("Commands:\n")
    listed = [line.split()[0] for line in rows.splitlines() if line.startswith("  ") and line.split()]
    assert listed[: len(NAMES)] == NAMES
    for option in ("--file", "--json", "--quiet", "--no-color", "--state-dir", "--version"):
        assert option in head


def test_the_help_of_the_program_is_this_text(run: Run) -> None:
    shown = run("--help", COLUMNS=str(WIDTH)).stdout
    rows = "".join(f"  {name:12}  {TABLE[name].help}\n" for name in NAMES)
    assert shown.startswith(HELP + rows)
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_a_group_shows_its_commands_uncut() -> None:
    for group in ("watchdog", "proxy", "config"):
        shown = CliRunner().invoke(program, [group, "--help"], env={"COLUMNS": str(WIDTH)}).output
        assert "..." not in shown.split("Commands:")[1]
        for name, command in COMMANDS.items():
            if name.startswith(f"{group} "):
                assert re.search(rf"^  {name.split()[1]} +{re.escape(first_line(command))}$", shown, re.MULTILINE), name


def first_line(command: Any) -> str:
    return str(command.help.splitlines()[0])


@pytest.mark.parametrize("name", TABLE)
def test_the_table_has_the_first_line_of_the_help(name: str) -> None:
    assert first_line(COMMANDS[name]).rstrip(".") == TABLE[name].help
    assert len(TABLE[name].help) <= 60
    assert not TABLE[name].help.endswith(".")
    assert COMMANDS[name].hidden == TABLE[name].hidden


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert len(first_line(command)) <= 61, "60 characters and a period"
    assert first_line(command).endswith(".")
    assert re.search(rf"^Examples?: .*deployctl {name}\b", command.help, re.MULTILINE), name
    for option in command.params:
        if option.param_type_name == "option":
            assert option.help and option.help[0] in string.ascii_uppercase + string.digits + '"', option.name
            assert option.help.endswith((".", "…")), option.name


@pytest.mark.parametrize("name", [name for name in COMMANDS if not TABLE[name.split()[0]].hidden])
def test_the_help_of_every_command_is_shown(name: str) -> None:
    done = CliRunner().invoke(program, [*name.split(), "--help"])
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: deployctl {name} ")
    assert first_line(COMMANDS[name]) in done.output


@pytest.mark.parametrize(("name", "own"), [("status", "status"), ("who-was-live", "who_was_live"), ("proxy", "proxy")])
def test_only_the_called_command_is_imported(tmp_path: Path, name: str, own: str) -> None:
    code = (
        "import sys\nfrom orchestrator.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*(n for n in sys.modules if n.startswith('orchestrator.cli.commands.')), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for arguments, loaded in (([name, "--help"], [f"orchestrator.cli.commands.{own}"]), (["--help"], [])):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr.split() == loaded


def test_help_is_quick(tmp_path: Path) -> None:
    times = []
    for _ in range(2):
        started = time.monotonic()
        expect(start(tmp_path, "--help"), 0)
        times.append(time.monotonic() - started)
    assert min(times) < 1.5


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    # The help of one command loads the command, and so the ledger's adapter; nothing is connected.
    [(["--help"], []), (["--version"], []), (["init"], []), (["release", "--help"], ["sqlite3"])],
)
def test_commands_that_need_no_engine_load_no_client_for_it(
    tmp_path: Path, arguments: list[str], loaded: list[str]
) -> None:
    program = (
        "import sys\nsys.argv[1:] = sys.argv[1:]\nfrom orchestrator.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'docker', 'httpx', 'sqlite3', 'requests', 'tenacity'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == str(loaded)


def test_the_version(run: Run) -> None:
    done = run("--version")
    expect(done, 0)
    assert done.stdout == f"deployctl {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["release", "--nonsense"], ["show"], ["plan", "dance"]])
def test_a_wrong_command_line_exits_with_2(run: Run, app: Path, arguments: list[str]) -> None:
    expect(run(*arguments), 2)


@pytest.mark.parametrize(
    ("given", "meant"), [("statsu", "status"), ("who-was-life", "who-was-live"), ("wachdog", "watchdog")]
)
def test_the_nearest_command_is_suggested_for_a_mistyped_one(run: Run, given: str, meant: str) -> None:
    done = run("--json", given, "status")
    expect(done, 2)
    assert f"Did you mean '{meant}'?" in done.stderr
