"""Output that nobody reads, or that cannot be written: no traceback, and an exit code that says what happened."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import streams
from orchestrator.cli.console import Console
from orchestrator.errors import DeployctlError
from orchestrator.reports.config import InitReport
from tests.unit import program

FULL = Path("/dev/full")


class Broken(StringIO):
    """A stream that cannot be written."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return -1


ERRORS = [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.EIO, "lost"), OSError(errno.ENOSPC, "full")]


@pytest.mark.parametrize("error", [*ERRORS, ValueError("I/O operation on closed file")])
def test_no_message_and_no_data_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(error))
    monkeypatch.setattr(sys, "stderr", Broken(error))
    console = Console(json=True)
    for say in (console.step, console.detail, console.note, console.done):
        say("text")
    console.error(DeployctlError("what", why="why", hint="next"))
    assert console.lost is not None
    for show in (console.print, console.lines, console.raw, console.rich):
        console.lost = None
        show("text")
        assert console.lost is not None, show
    console.report(InitReport("file"))
    console.flush()


def test_what_could_be_written_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.print("data")
    console.flush()
    assert console.lost is None
    assert capsys.readouterr().out == "data\n"


def start(folder: Path, *arguments: str, **given: Any) -> subprocess.Popen[str]:
    environment = {"DEPLOYCTL_STATE_DIR": str(folder / "state"), **given.pop("env", {})}
    return subprocess.Popen(
        [*program.PROGRAM, *arguments],
        cwd=folder,
        env=program._variables(environment),
        stdin=subprocess.DEVNULL,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given},
    )


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


READING = [("history",), ("config", "schema"), ("--help",), ("release", "--help"), ("metrics",)]


@pytest.mark.parametrize("arguments", READING)
def test_a_full_disk_fails_a_command_that_only_reads(app: Path, arguments: tuple[str, ...]) -> None:
    with FULL.open("wb") as full:
        process = start(app.parent, *arguments, stdout=full)
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 3, message
    assert "the output cannot be written: No space left on device" in message.replace("\n  why", "")
    assert "Traceback" not in message
    assert "Exception ignored" not in message


def test_a_reader_that_goes_away_is_no_error(app: Path) -> None:
    writer = closed_pipe()
    try:
        process = start(app.parent, "config", "schema", stdout=writer)
        assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
    finally:
        os.close(writer)


@pytest.mark.parametrize("where", ["pipe", "full"])
def test_the_exit_code_does_not_depend_on_stderr(app: Path, where: str) -> None:
    """There is no engine, so these fail with 3, and there is no version, so this fails with 2."""
    stderr = closed_pipe() if where == "pipe" else os.open(FULL, os.O_WRONLY)
    try:
        for arguments, code in ((("status",), 3), (("show", "v7"), 2), (("config", "check"), 0)):
            process = start(app.parent, *arguments, stderr=stderr)
            process.communicate(timeout=60)
            assert process.returncode == code, arguments
    finally:
        os.close(stderr)


def test_streams_that_the_caller_has_closed(app: Path) -> None:
    """The ledger must not get the number of one of them: messages would be written into it."""
    command = " ".join(["exec", sys.executable, "-c", "'from orchestrator.cli.main import main; main()'"])
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f"{command} history {closed}"],
            cwd=app.parent,
            env=program._variables({"DEPLOYCTL_STATE_DIR": str(app.parent / "state")}),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (closed, done.stderr)
        assert b"Traceback" not in done.stderr
    assert (app.parent / "state" / "ledger.db").read_bytes().startswith(b"SQLite format 3")


def test_a_terminal_that_cannot_show_a_character(app: Path) -> None:
    (app.parent / "ü→.toml").write_text(app.read_text())
    process = start(
        app.parent, "-f", "ü→.toml", "config", "check", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    out, message = process.communicate(timeout=60)
    assert (process.returncode, message) == (0, "")
    assert "\\xfc\\u2192.toml: valid" in out


def test_nothing_is_written_twice_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken(ERRORS[0])
    monkeypatch.setattr(sys, "stdout", broken)
    monkeypatch.setattr(sys, "stderr", StringIO())
    streams.finish()  # its descriptor is not one: nothing raises
