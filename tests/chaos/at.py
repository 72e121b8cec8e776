"""Runs deployctl and, at one journaled boundary, a shell command: `at.py when:step COMMAND ARGUMENTS…`."""

from __future__ import annotations

import functools
import subprocess
import sys

from orchestrator import wiring
from orchestrator.cli.main import main


def boundary(target: str, command: str, when: str, step: str) -> None:
    if f"{when}:{step}" == target:
        subprocess.run(["sh", "-c", command], check=True)


if __name__ == "__main__":
    hook = functools.partial(boundary, sys.argv.pop(1), sys.argv.pop(1))
    wiring.build = functools.partial(wiring.build, boundary=hook)  # type: ignore[assignment]
    main()
