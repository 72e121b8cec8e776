"""Helpers for tests that run deployctl as a process and read its output."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON document on stdout; fails if stdout has anything else."""
    body = json.loads(done.stdout)
    assert isinstance(body, dict)
    return body


def expect(done: subprocess.CompletedProcess[str], code: int) -> None:
    """Asserts the exit code, and that there was no internal error."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
