"""The wheel, installed into an empty environment outside the checkout, does the main job."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.engine.harness import App

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [found] = folder.glob("*.whl")
    return found


def test_the_wheel_contains_only_the_program(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "orchestrator/_compose/proxy/Dockerfile" in names
    assert "orchestrator/_compose/proxy/haproxy.cfg" in names
    assert "orchestrator/deploy.example.toml" in names
    assert "orchestrator/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_an_installed_wheel_releases_and_rolls_back(wheel: Path, app: App, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    install = [python, "-m", "pip", "install", "--quiet", str(wheel), "-c", str(ROOT / "constraints.txt")]
    subprocess.run(install, check=True, capture_output=True)
    program = python.with_name("deployctl")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DEPLOYCTL_", "PYTHON"))}

    def deployctl(*arguments: str) -> str:
        done = subprocess.run(
            [program, "--state-dir", str(app.state_dir), *arguments],
            cwd=app.folder,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "deployctl 0." in deployctl("--version")
    deployctl("-f", str(tmp_path / "example.toml"), "init")
    app.write("v1")
    deployctl("release", "v1")
    app.write("v2")
    deployctl("release", "v2")
    assert app.serving() == "v2"
    deployctl("rollback")
    assert app.serving() == "v1"
    assert '"state": "stable"' in deployctl("status", "--json")
