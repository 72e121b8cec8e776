"""What tests of the program as it is typed work with. No engine is needed for any of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.unit import program
from tests.unit.cli.running import Run


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: these tests call fsync often and prove nothing about the disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs deployctl in an empty folder, with a state folder of its own and no engine."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return program.run(tmp_path, *arguments, **{"DEPLOYCTL_STATE_DIR": str(tmp_path / "state"), **environment})

    return call


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A deploy.toml with everything that it names."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("state\n")
    # A loopback address that nothing else uses: nothing listens there, but it must be free.
    (tmp_path / "deploy.toml").write_text(
        '[app]\nname = "mymodel"\nport = 8080\n[proxy]\nlisten = "127.77.77.77:38471"\n'
    )
    return tmp_path / "deploy.toml"
