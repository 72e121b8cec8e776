"""Runs deployctl many times at the cost of one start: a server imports the program and forks for each command line.

A command is a process of its own, with its own arguments, environment, folder and output, and it ends as a process
does. Only its imports are made before. What a program loads, and variables that Python reads when it starts, need a
process that is started from nothing.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import selectors
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from orchestrator.cli.main import main; main()"]
# Python reads these before the program begins.
AT_THE_START = ("PYTHON", "LANG", "LC_")


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs deployctl in `folder` with no engine and nothing on stdin; `environment` is added to the variables."""
    if any(name.startswith(AT_THE_START) for name in environment):
        return start(folder, *arguments, **environment)
    return _server().run(folder, arguments, _variables(environment))


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a process that is started from nothing."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=_variables(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _variables(environment: dict[str, str]) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DEPLOYCTL_", "DOCKER_", "NO_COLOR"))}
    return {**clean, "PYTHONPATH": str(ROOT), "DOCKER_HOST": "unix:///nonexistent", **environment}


@functools.cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


class _Server:
    """The process that forks, and the folder with what its children print."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.program"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, folder: Path, arguments: tuple[str, ...], environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out, err = Path(self._folder.name) / "out", Path(self._folder.name) / "err"
        task = {"folder": str(folder), "arguments": arguments, "environment": environment, "out": str(out)}
        self._process.stdin.write(json.dumps({**task, "err": str(err)}) + "\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(60):
                self._process.kill()
                _server.cache_clear()
                raise subprocess.TimeoutExpired(list(arguments), 60)
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(list(arguments), code, out.read_text(), err.read_text())

    def close(self) -> None:
        """Ends the process: it ends at the end of its input."""
        self._process.communicate()
        self._folder.cleanup()


def _serve() -> None:
    """Reads a task a line, forks for it, and answers with the exit code. A child returns as the program does."""
    from orchestrator.cli.main import main
    from orchestrator.cli.table import TABLE

    for entry in TABLE.values():
        importlib.import_module(entry.module)
    importlib.import_module("orchestrator.cli.root")
    importlib.import_module("orchestrator.wiring")
    # os.read, and no buffer: a child must not have read the next task.
    for line in iter(_line, ""):
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(task)
            main()
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _line() -> str:
    received = b""
    while not received.endswith(b"\n") and (more := os.read(0, 65536)):
        received += more
    return received.decode()


def _become(task: dict[str, Any]) -> None:
    """Makes this process the one that the task describes."""
    os.chdir(task["folder"])
    os.environ.clear()
    os.environ.update(task["environment"])
    sys.argv = ["-c", *task["arguments"]]
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, task["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, task["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        descriptor = os.open(path, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)


if __name__ == "__main__":
    _serve()
