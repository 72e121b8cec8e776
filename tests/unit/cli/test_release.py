"""`release` without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.running import Run, document, expect


@pytest.mark.parametrize("text", ["2", "V2", "v02", "latest", "v1.0"])
def test_an_invalid_version(run: Run, app: Path, text: str) -> None:
    done = run("release", text)
    expect(done, 2)
    assert f"error: invalid version '{text}'" in done.stderr
    assert "next: deployctl release v2" in done.stderr


def test_a_ref_without_a_repository(run: Run, app: Path) -> None:
    for action in (("release", "v2"), ("plan", "release", "v2")):
        done = run(*action, "--ref", "v1.0")
        expect(done, 2)
        assert "error: --ref needs a Git repository" in done.stderr
    done = run("plan", "rollback", "--ref", "v1.0")
    expect(done, 2)
    assert "error: --ref cannot be used with a rollback" in done.stderr


def test_a_release_without_an_engine_is_recorded_as_failed(run: Run, app: Path) -> None:
    expect(run("release", "v1"), 3)
    (deployment,) = document(run("history", "--json"))["deployments"]
    assert (deployment["outcome"], deployment["to"], deployment["from"]) == ("failed", "v1", None)
    assert deployment["reason"] == "the Docker engine does not answer: its socket does not exist"
    assert document(run("tree", "--json"))["versions"] == []


def test_a_missing_dockerfile(run: Run, app: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").unlink()
    done = run("release", "v1")
    expect(done, 2)
    assert "build.dockerfile:" in done.stderr
    assert document(run("history", "--json"))["deployments"] == []


def test_an_image_and_a_commit(run: Run, app: Path) -> None:
    for command in ("release", "plan"):
        done = run(command, "--image", "ci:1", "--ref", "HEAD")
        expect(done, 2)
        assert "--image cannot be used with --ref" in done.stderr


def test_an_image_needs_the_engine(run: Run, app: Path) -> None:
    done = run("release", "--image", "ci:1")
    expect(done, 3)
    assert "the Docker engine does not answer" in done.stderr
    expect(run("release", "--image", "Not A Name"), 2)
