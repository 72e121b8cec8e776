"""Runs deployctl and kills it with SIGKILL at one journaled boundary: `crash.py when:step ARGUMENTS…`.

`when` is `before` (journaled, not acted), `acted` (acted, not journaled) or `after` (both).
"""

from __future__ import annotations

import functools
import os
import signal
import sys

from orchestrator import assembly
from orchestrator.cli.main import main


def boundary(target: str, when: str, step: str) -> None:
    if f"{when}:{step}" == target:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    hook = functools.partial(boundary, sys.argv.pop(1))
    assembly.build = functools.partial(assembly.build, boundary=hook)  # type: ignore[assignment]
    main()
