"""The programs in tests/cases: what people do with deployctl, and attacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import FULL
from tests.engine.harness import free_port

CASES = Path(__file__).parents[1] / "cases"
NAMES = sorted(path.name for path in [*CASES.glob("*.sh"), *CASES.glob("*.py")])
# The cases of a short run: each takes a few seconds.
SHORT = {
    "03c-ignore-case-secret.sh",
    "06c-env-file-in-context.sh",
    "22-network.sh",
    "s01-isolation.sh",
    "s03-model-link-leak.sh",
}
MISSING = 77
SECONDS = 400


@pytest.fixture(scope="module", autouse=True)
def base() -> None:
    subprocess.run([CASES / "base"], check=True, timeout=300)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for a case. Not in pytest's: its path is too long for the sockets of an engine's containerd (107 bytes),
    and only its owner may enter it, while some cases run deployctl as another user.
    """
    folder = Path(tempfile.mkdtemp(prefix="case-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", NAMES if FULL else sorted(SHORT))
def test_cases(name: str, short_path: Path) -> None:
    program = [sys.executable] if name.endswith(".py") else ["bash"]
    binaries = Path(sys.executable).parent
    environment = {
        **os.environ,
        "DEPLOYCTL": str(binaries / "deployctl"),
        "BUILDX": str(binaries.parent / "docker" / "cli-plugins" / "docker-buildx"),
        "PORT": str(free_port()),
        "TMPDIR": str(short_path),
    }
    done = subprocess.run(
        [*program, name], cwd=CASES, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    output = done.stdout + done.stderr
    if done.returncode == MISSING:
        pytest.skip(output.strip().splitlines()[-1])
    assert done.returncode == 0, output
