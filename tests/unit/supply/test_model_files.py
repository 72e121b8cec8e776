"""The files of a version: digests of folders, checkouts of Git repositories, stored model files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.config import Config, parse
from orchestrator.domain.version.version import Version
from orchestrator.errors import GitError
from orchestrator.supply.model_files import checkout
from tests.unit.builders import version
from tests.unit.stores import Stores

TOML = '[app]\nname = "mymodel"\nport = 8080\n'


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=some@body.example"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with the app in a folder of it."""
    app = tmp_path / "repository" / "app"
    app.mkdir(parents=True)
    (app / "Dockerfile").write_text("FROM scratch\n")
    (app / "run.sh").write_text("exit 0\n")
    (app / "run.sh").chmod(0o755)
    (app / "weights").mkdir()
    (app / "weights" / "w.bin").write_bytes(b"1")
    git(tmp_path, "init", "-q", "repository")
    git(app, "add", "-A")
    git(app, "commit", "-q", "-m", "first")
    return app


@pytest.fixture
def store(tmp_path: Path) -> Stores:
    return Stores(tmp_path / "state")


def config(folder: Path, more: str = "") -> Config:
    return parse(TOML + more, file="deploy.toml", base=folder)


def identity(store: Stores, settings: Config) -> str:
    return store.read(settings, keep=False).digest


def recorded(folder: Path, store: Stores, settings: Config) -> Version:
    return version("v1", manifest=identity(store, settings), git_commit=git(folder, "rev-parse", "HEAD"))


def test_a_checkout_has_the_digest_that_was_recorded(folder: Path, store: Stores) -> None:
    settings = config(folder)
    first = recorded(folder, store, settings)
    (folder / "run.sh").write_text("exit 1\n")
    assert identity(store, settings) != first.manifest
    before = git(folder, "status", "--porcelain"), git(folder, "branch", "--show-current")
    with checkout(store, settings, first) as source:
        assert source.base != folder
        assert identity(store, source) == first.manifest
    assert not source.base.exists()
    assert (git(folder, "status", "--porcelain"), git(folder, "branch", "--show-current")) == before
    assert len(git(folder, "worktree", "list").splitlines()) == 1


def test_the_git_folder_is_not_part_of_a_version(folder: Path, store: Stores) -> None:
    settings = config(folder.parent)
    (folder.parent / "Dockerfile").write_text("FROM scratch\n")
    before = identity(store, settings)
    git(folder, "commit", "-q", "--allow-empty", "-m", "second")
    assert identity(store, settings) == before
    (folder.parent / ".gitignore").write_text("*.pyc\n")
    assert identity(store, settings) != before


def test_a_checkout_uses_the_stored_model_files(folder: Path, store: Stores) -> None:
    git(folder, "rm", "-q", "-r", "--cached", "weights")
    (folder / ".gitignore").write_text("weights/\n")
    (folder / ".dockerignore").write_text("weights\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "weights are not in Git")
    settings = config(folder, '[model]\npath = "weights"\n')
    store.take(settings)
    first = recorded(folder, store, settings)
    (folder / "weights" / "w.bin").write_bytes(b"2")
    with checkout(store, settings, first) as source:
        assert identity(store, source) == first.manifest
        store.take(source)  # replaces the folder that it reads from
        assert identity(store, source) == first.manifest


@pytest.mark.parametrize("how", ["no such commit", "no repository"])
def test_a_missing_commit_cannot_be_checked_out(folder: Path, store: Stores, tmp_path: Path, how: str) -> None:
    lost = version("v1", git_commit="0123456789" * 4)
    place = folder if how == "no such commit" else tmp_path
    with (
        pytest.raises(GitError, match="commit 0123456789 cannot be fetched"),
        checkout(store, config(place), lost),
    ):
        pytest.fail("the checkout did not fail")
    assert not list((tmp_path / "state").glob("checkouts/*"))
