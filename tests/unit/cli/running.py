"""Running deployctl as a process, and reading what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "from orchestrator.cli.main import main; main()"]
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
