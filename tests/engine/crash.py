"""Runs deployctl and kills it with SIGKILL at one journaled boundary: `crash.py when:step ARGUMENTS…`.

`when` is `before` (journaled, not acted), `acted` (acted, not journaled) or `after` (both). Instead of a step it may
be something that the engine is asked for: `acted:engine.restart`.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from typing import Any

from orchestrator import wiring
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.cli.main import main


def boundary(target: str, when: str, step: str) -> None:
    if f"{when}:{step}" == target:
        os.kill(os.getpid(), signal.SIGKILL)


def surround(target: str) -> None:
    """Has `boundary` called around what the engine is asked for."""
    name = target.partition(":engine.")[2]
    real = getattr(DockerEngine, name)

    def asked(*arguments: Any, **named: Any) -> Any:
        boundary(target, "before", f"engine.{name}")
        found = real(*arguments, **named)
        boundary(target, "acted", f"engine.{name}")
        return found

    setattr(DockerEngine, name, asked)


if __name__ == "__main__":
    where = sys.argv.pop(1)
    hook = functools.partial(boundary, where)
    if ":engine." in where:
        surround(where)
    wiring.build = functools.partial(wiring.build, boundary=hook)  # type: ignore[assignment]
    main()
