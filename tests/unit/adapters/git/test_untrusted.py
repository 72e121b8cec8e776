"""Programs that a repository's own configuration names: none of them runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.adapters.git import repository, worktrees
from orchestrator.adapters.git.repository import Repository
from tests.repositories import commit, git


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Without the Git configuration of the machine; submodules may be local folders."""
    found = tmp_path / "home"
    found.mkdir()
    monkeypatch.setenv("HOME", str(found))
    for name, value in {"NOSYSTEM": "1", "COUNT": "1", "KEY_0": "protocol.file.allow", "VALUE_0": "always"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return found


def program(folder: Path, name: str, what: str = "cat") -> tuple[Path, Path]:
    """A program that leaves a file when it runs, and that file."""
    place, ran = folder / f"{name}.sh", folder / f"{name}.ran"
    place.write_text(f"#!/bin/sh\ntouch {ran}\n{what}\n")
    place.chmod(0o755)
    return place, ran


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a file that a filter is for, and that seems to have changed."""
    made = tmp_path / "repo"
    made.mkdir()
    git(made, "init", "-q")
    (made / ".gitattributes").write_text("*.txt filter=own\n")
    (made / "a.txt").write_text("text\n")
    commit(made, "one")
    os.utime(made / "a.txt", ns=(1, 1))
    return made


def everything(repo: Path, place: Path) -> str:
    """All that a release asks Git; returns what the checkout has in a.txt."""
    status = repository.status(Repository(repo), [repo])
    assert status is not None
    assert status.commit is not None
    worktrees.add(repo, status.commit, place)
    assert repository.commits(repo, status.commit, status.commit) == []
    text = (place / "a.txt").read_text()
    worktrees.forget(repo, place)
    return text


@pytest.mark.parametrize(
    "key",
    [
        "core.fsmonitor",
        "filter.own.clean",
        "filter.own.smudge",
        "filter.own.process",
        "filter.o=wn.clean",
        "gpg.program",
    ],
)
@pytest.mark.parametrize("included", [False, True])
def test_no_program_of_the_repository_runs(repo: Path, tmp_path: Path, key: str, included: bool) -> None:
    place, ran = program(tmp_path, "evil")
    if "=" in key:
        (repo / ".gitattributes").write_text("*.txt filter=o=wn\n")
        commit(repo, "two")
    if included:
        git(repo, "config", "include.path", "more")
        git(repo, "config", "--file", str(repo / ".git" / "more"), key, str(place))
    else:
        git(repo, "config", key, str(place))
    if key.startswith("filter."):
        git(repo, "config", f"{key.rpartition('.')[0]}.required", "true")
    git(repo, "config", "log.showSignature", "true")
    assert everything(repo, tmp_path / "checkout") == "text\n"
    assert not ran.exists()


@pytest.mark.parametrize("hook", ["post-checkout", "post-index-change", "reference-transaction"])
def test_no_hook_runs(repo: Path, tmp_path: Path, hook: str) -> None:
    place, ran = program(tmp_path, "hook")
    place.rename(repo / ".git" / "hooks" / hook)
    everything(repo, tmp_path / "checkout")
    written, why = repository.tag(
        Repository(repo), "m/v1", repository.resolve(Repository(repo), "HEAD"), "m", "a <a@b>"
    )
    assert (written, why) == (True, "")
    assert not ran.exists()


def test_the_users_own_filter_runs(repo: Path, tmp_path: Path) -> None:
    """`git lfs install` writes such a filter; one of the same name in the repository does not replace it."""
    good, good_ran = program(tmp_path, "good", "sed s/text/weights/")
    evil, evil_ran = program(tmp_path, "evil")
    git(repo, "config", "--global", "filter.own.smudge", str(good))
    git(repo, "config", "filter.own.smudge", str(evil))
    assert everything(repo, tmp_path / "checkout") == "weights\n"
    assert good_ran.exists()
    assert not evil_ran.exists()


def test_git_lfs_for_one_repository_runs(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / ".gitattributes").write_text("*.txt filter=lfs\n")
    commit(repo, "two")
    place, ran = program(tmp_path, "git-lfs", "sed s/text/weights/")
    place.rename(tmp_path / "git-lfs")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    git(repo, "config", "filter.lfs.smudge", "git-lfs smudge -- %f")
    assert everything(repo, tmp_path / "checkout") == "weights\n"
    assert ran.exists()
    git(repo, "config", "filter.lfs.smudge", f"{tmp_path}/git-lfs smudge -- %f; touch {tmp_path}/more")
    assert everything(repo, tmp_path / "checkout") == "text\n"
    assert not (tmp_path / "more").exists()


def test_programs_that_a_submodule_names_do_not_run(repo: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q")
    (library / ".gitattributes").write_text("*.txt filter=theirs\n")
    (library / "b.txt").write_text("text\n")
    commit(library, "one")
    git(repo, "submodule", "--quiet", "add", str(library), "lib")
    commit(repo, "two")
    for key in ("core.fsmonitor", "filter.theirs.clean"):
        place, ran = program(tmp_path, key)
        git(repo / "lib", "config", key, str(place))
        os.utime(repo / "lib" / "b.txt", ns=(1, 1))
        everything(repo, tmp_path / "checkout")
        assert not ran.exists()
    place, ran = program(tmp_path, "update")
    git(repo, "config", "submodule.lib.update", f"!{place}")
    everything(repo, tmp_path / "checkout2")
    assert not ran.exists()


def test_a_changed_file_is_still_a_change(repo: Path, tmp_path: Path) -> None:
    git(repo, "config", "filter.own.clean", str(program(tmp_path, "evil")[0]))
    (repo / "a.txt").write_text("other\n")
    status = repository.status(Repository(repo), [repo])
    assert status is not None
    assert status.changed == ("a.txt",)
