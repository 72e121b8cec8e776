"""Running deployctl as a process, and reading what it printed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """stdout, which is one JSON document and nothing else."""
    body = json.loads(done.stdout)
    assert isinstance(body, dict)
    return body


def expect(done: subprocess.CompletedProcess[str], code: int) -> None:
    """Asserts the exit code, and that no bug was met."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
