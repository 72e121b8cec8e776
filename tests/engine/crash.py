"""Runs deployctl and kills it with SIGKILL at one journaled boundary: `crash.py when:step ARGUMENTS…`.

`when` is `before` (journaled, not acted), `acted` (acted, not journaled) or `after` (both). Instead of a step it may
be something that the engine is asked for, a method of an adapter in `ENGINE`: `acted:engine.restart`.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from typing import Any

from orchestrator import wiring
from orchestrator.adapters.docker.images import DockerImages
from orchestrator.adapters.docker.registry import DockerRegistry
from orchestrator.adapters.docker.workloads import DockerWorkloads
from orchestrator.cli.main import main

ENGINE = (DockerWorkloads, DockerImages, DockerRegistry)


def boundary(target: str, when: str, step: str) -> None:
    if f"{when}:{step}" == target:
        os.kill(os.getpid(), signal.SIGKILL)


def surround(target: str) -> None:
    """Calls `boundary` before and after each request to the engine."""
    name = target.partition(":engine.")[2]
    adapter = next(adapter for adapter in ENGINE if hasattr(adapter, name))
    real = getattr(adapter, name)

    def asked(*arguments: Any, **named: Any) -> Any:
        boundary(target, "before", f"engine.{name}")
        result = real(*arguments, **named)
        boundary(target, "acted", f"engine.{name}")
        return result

    setattr(adapter, name, asked)


if __name__ == "__main__":
    where = sys.argv.pop(1)
    hook = functools.partial(boundary, where)
    if ":engine." in where:
        surround(where)
    wiring.build = functools.partial(wiring.build, boundary=hook)  # type: ignore[assignment]
    main()
