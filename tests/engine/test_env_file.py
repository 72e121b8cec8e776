"""run.env_file against the docker command, which reads such files as well."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.config.env_file import parse_env
from tests.engine.tools import tool
from tests.unit.config.test_env_file import AS_DOCKER

pytestmark = pytest.mark.engine

LINES = [line.replace("A=", f"A{number}=", 1) for number, (line, _) in enumerate(AS_DOCKER)]
LINES += ["F.G=1", "F-G=1", "1A=1", "FROM_SHELL", "NOT_SET", "# C=1", "  # C=1", "", "B=1", "B=2"]


def test_the_docker_command_reads_the_same(tmp_path: Path) -> None:
    docker = tool("docker")
    file = tmp_path / "a.env"
    file.write_text("\n".join(LINES), encoding="utf-8", newline="")
    shell = {**os.environ, "FROM_SHELL": "x y"}
    shell.pop("NOT_SET", None)
    command = ["run", "--rm", "--network", "none", "--env-file", str(file), "--entrypoint", "env"]
    done = subprocess.run(
        [docker, *command, "deployctl-base:bookworm", "-0"], env=shell, capture_output=True, check=True
    )
    seen = dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    values, findings = parse_env(file.read_bytes().decode(), shell)
    assert findings == []
    assert values == {name: seen[name] for name in values}
    assert seen.keys() - values.keys() <= {"PATH", "HOSTNAME", "HOME", "TERM"}, seen
