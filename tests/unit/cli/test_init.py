"""`init`."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from orchestrator.domain.health.presets import PRESETS
from tests.unit.cli.running import Run, document, expect


def test_init_check_schema(run: Run, tmp_path: Path) -> None:
    done = run("init")
    expect(done, 0)
    assert done.stdout == ""
    assert done.stderr == "done: deploy.toml written; edit it, then run: deployctl config check\n"
    written = (tmp_path / "deploy.toml").read_text()
    assert tomllib.loads(written)["app"] == {"name": "mymodel", "port": 8080}
    assert stat.S_IMODE((tmp_path / "deploy.toml").stat().st_mode) == 0o644

    done = run("config", "check")
    expect(done, 0)
    assert done.stdout == "deploy.toml: valid (app mymodel)\n"

    done = run("config", "schema")
    expect(done, 0)
    schema = document(done)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) == {
        "app",
        "build",
        "model",
        "registry",
        "engine",
        "run",
        "health",
        "proxy",
        "rollout",
        "judge",
        "retention",
        "git",
        "watchdog",
        "notify",
    }


def test_init_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_text("precious\n")
    done = run("init")
    expect(done, 2)
    assert done.stderr == "error: deploy.toml already exists\n  next: edit it, or overwrite it with --force\n"
    assert (tmp_path / "deploy.toml").read_text() == "precious\n"
    expect(run("init", "--force"), 0)
    assert (tmp_path / "deploy.toml").read_text() != "precious\n"


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_init_with_a_preset(run: Run, tmp_path: Path, preset: str) -> None:
    expect(run("init", "--preset", preset), 0)
    written = tomllib.loads((tmp_path / "deploy.toml").read_text())
    assert written["app"]["port"] == PRESETS[preset].port
    assert written["health"]["preset"] == preset
    assert "path" not in written["health"]
    expect(run("config", "check"), 0)


def test_init_with_an_unknown_preset(run: Run, tmp_path: Path) -> None:
    done = run("init", "--preset", "vlm")
    expect(done, 2)
    assert "unknown health preset 'vlm'" in done.stderr
    assert "vllm" in done.stderr
    assert not (tmp_path / "deploy.toml").exists()


def test_init_where_it_cannot_write(run: Run) -> None:
    done = run("init", "--file", "no/such/folder/deploy.toml")
    expect(done, 2)
    assert "cannot be written" in done.stderr
