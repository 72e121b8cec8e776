"""Real repositories of all kinds: their state, builds from them, and that they are not changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Config, load
from orchestrator.domain.naming import LABEL_VERSION
from orchestrator.domain.version.build import BuildSpec
from orchestrator.domain.version.manifest import Manifest
from orchestrator.errors import BuildFailed, DeploymentFailed, GitError, Interrupted, UsageError
from orchestrator.ports.progress import Progress
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe
from orchestrator.release.preparation import prepare_release
from orchestrator.release.release import release
from orchestrator.release.result import Result
from orchestrator.supply.model_files import checkout
from orchestrator.supply.source import opened
from tests.fakes.world import Crash, World
from tests.repositories import commit, dirty, fingerprint, git, worktrees
from tests.unit.builders import version
from tests.unit.stores import Stores

TOML = '[app]\nname = "mymodel"\nport = 8080\n'
CLEAN = "[git]\nrequire_clean = true\n"


@pytest.fixture(autouse=True)
def only_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the Git configuration of the machine; submodules may be local folders."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    for name in ("XDG_CONFIG_HOME", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "EMAIL"):
        monkeypatch.delenv(name, raising=False)


def write(app: Path, what: str, more: str = "") -> None:
    """Writes the files of the app, which contain `what`."""
    app.mkdir(parents=True, exist_ok=True)
    (app / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (app / "answer.txt").write_text(what)
    (app / "deploy.toml").write_text(TOML + more)


def begin(app: Path, top: Path | None = None) -> Path:
    """A repository with the app: the commit `one`, tagged, then the commit `two`."""
    top = top or app
    write(app, "one")
    git(top, "init", "-q")
    commit(top, "first")
    git(top, "tag", "-a", "-m", "the first", "one")
    write(app, "two")
    commit(top, "second")
    return app


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return begin(tmp_path / "app")


@pytest.fixture
def store(tmp_path: Path) -> Stores:
    return Stores(tmp_path / "state")


def config(app: Path) -> Config:
    return load(app / "deploy.toml")


def answer(building: Config) -> str:
    return (building.context_dir / "answer.txt").read_text()


def left(tmp_path: Path, top: Path) -> list[str]:
    """The existing checkouts, and the registered worktrees."""
    found = [str(path) for path in (tmp_path / "state" / "checkouts").glob("*")]
    return found + worktrees(top)


# --- a ref is a commit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ref", ["one", "HEAD~1", "refs/tags/one", "tags/one", "main~1", "one^{commit}"])
def test_what_stands_for_a_commit(app: Path, store: Stores, ref: str) -> None:
    assert store.source_control.resolve(config(app), ref) == git(app, "rev-parse", "one^{commit}")


def test_the_beginning_of_a_commit(app: Path, store: Stores) -> None:
    full = git(app, "rev-parse", "HEAD")
    assert store.source_control.resolve(config(app), full[:8]) == full


@pytest.mark.parametrize(
    "ref", ["none", "", " ", "-one", "--all", "--help", "-", "one..main", "^main", "main:answer.txt", "a\nb", "@{9}"]
)
def test_what_stands_for_none(app: Path, store: Stores, ref: str) -> None:
    with pytest.raises(UsageError, match="is not a commit") as caught:
        store.source_control.resolve(config(app), ref)
    assert repr(ref) in caught.value.message


def test_a_tag_of_a_file_is_no_commit(app: Path, store: Stores) -> None:
    git(app, "tag", "file", git(app, "rev-parse", "main:answer.txt"))
    with pytest.raises(UsageError, match="'file' is not a commit"):
        store.source_control.resolve(config(app), "file")


def test_no_repository_at_all(tmp_path: Path, store: Stores) -> None:
    write(tmp_path / "plain", "plain")
    with pytest.raises(UsageError, match=r"--ref needs a Git repository: .*plain is not in a Git repository"):
        store.source_control.resolve(config(tmp_path / "plain"), "HEAD")


def test_a_repository_without_commits(tmp_path: Path, store: Stores) -> None:
    write(tmp_path / "new", "new")
    git(tmp_path / "new", "init", "-q")
    with pytest.raises(UsageError, match="'HEAD' is not a commit"):
        store.source_control.resolve(config(tmp_path / "new"), "HEAD")


def test_without_git(app: Path, store: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert store.source_control.state(config(app)).commit is None
    assert store.source_control.user(app) is None
    assert store.source_control.commits(app, "a", "b") is None
    with pytest.raises(UsageError, match="--ref needs a Git repository: Git is not installed"):
        store.source_control.resolve(config(app), "one")
    assert store.source_control.tag(config(app), "mymodel/v1", "0" * 40, "m", "a")[1].startswith("Git is not installed")
    store.source_control.tidy("mymodel")


def test_a_shallow_clone_says_that_it_is_one(app: Path, store: Stores, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{app}", "shallow")
    shallow = tmp_path / "shallow"
    with pytest.raises(UsageError, match="shallow") as caught:
        store.source_control.resolve(config(shallow), git(app, "rev-parse", "one^{commit}"))
    assert "fetch --unshallow" in caught.value.hint
    # What it has can be built all the same.
    head = store.source_control.resolve(config(shallow), "HEAD")
    with store.source_control.at(config(shallow), head) as (_, building):
        assert answer(building) == "two"
    assert left(tmp_path, shallow) == []


# --- a clean checkout --------------------------------------------------------------------------------------------


def test_the_tree_stays_byte_for_byte_as_it_was(app: Path, store: Stores, tmp_path: Path) -> None:
    dirty(app, "answer.txt")
    before = fingerprint(app)
    found = store.source_control.resolve(config(app), "one")
    with store.source_control.at(config(app), found) as (own, building):
        assert own is not None
        assert answer(building) == "one"
        assert sorted(path.name for path in building.context_dir.iterdir()) == [
            ".git",
            "Dockerfile",
            "answer.txt",
            "deploy.toml",
        ]
        git(app, "rev-parse", "HEAD")
    assert fingerprint(app) == before
    assert left(tmp_path, app) == []


def test_nothing_of_the_users_runs_in_it(app: Path, store: Stores, tmp_path: Path) -> None:
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        place = app / ".git" / "hooks" / hook
        place.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{hook}\nexit 1\n")
        place.chmod(0o755)
    found = store.source_control.resolve(config(app), "one")
    with store.source_control.at(config(app), found) as (_, building):
        assert answer(building) == "one"
    assert store.source_control.tag(config(app), "mymodel/v1", found, "message", "a") == (True, "")
    assert [path.name for path in tmp_path.glob("ran-*")] == []


def test_a_locked_index_is_waited_for_by_nobody(app: Path, store: Stores) -> None:
    (app / ".git" / "index.lock").touch()
    found = store.source_control.resolve(config(app), "one")
    with store.source_control.at(config(app), found) as (_, building):
        assert answer(building) == "one"
    assert store.source_control.state(config(app)).dirty is False
    assert store.source_control.tag(config(app), "mymodel/v1", found, "message", "a") == (True, "")
    assert (app / ".git" / "index.lock").exists()


def test_a_look_writes_nothing(app: Path, store: Stores) -> None:
    later = (app / "answer.txt").stat().st_mtime + 100
    os.utime(app / "answer.txt", (later, later))  # Git would update the index
    before = (app / ".git" / "index").read_bytes()
    assert store.source_control.state(config(app)).dirty is False
    assert (app / ".git" / "index").read_bytes() == before


def test_in_a_hook_it_is_still_the_folders_repository(
    app: Path, store: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = begin(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    state = store.source_control.state(config(app))
    monkeypatch.undo()
    assert state.commit == git(app, "rev-parse", "HEAD")


def test_a_sparse_tree_gives_a_whole_checkout(app: Path, store: Stores) -> None:
    (app / "docs").mkdir()
    (app / "docs" / "page").write_text("page")
    commit(app, "third")
    git(app, "sparse-checkout", "set", "--no-cone", "/*", "!docs/")
    assert not (app / "docs").exists()
    with store.source_control.at(config(app), git(app, "rev-parse", "HEAD")) as (_, building):
        assert (building.context_dir / "docs" / "page").exists()
    assert not (app / "docs").exists()


def test_a_detached_head(app: Path, store: Stores, tmp_path: Path) -> None:
    git(app, "checkout", "-q", "--detach", "one")
    assert store.source_control.state(config(app)).commit == git(app, "rev-parse", "one^{commit}")
    with store.source_control.at(config(app), store.source_control.resolve(config(app), "main")) as (_, building):
        assert answer(building) == "two"
    assert git(app, "branch", "--show-current") == ""
    assert left(tmp_path, app) == []


Made = Callable[[Path], tuple[Path, Path]]


def at_the_top(place: Path) -> tuple[Path, Path]:
    return begin(place / "app"), place / "app"


def in_a_subfolder(place: Path) -> tuple[Path, Path]:
    top = place / "repository"
    return begin(top / "services" / "app", top_of(top)), top


def with_spaces_and_more(place: Path) -> tuple[Path, Path]:
    top = place / "müll & [kram] *"
    return begin(top / ":(top) ä b", top_of(top)), top


def by_a_symlink(place: Path) -> tuple[Path, Path]:
    top = place / "repository"
    begin(top / "app", top_of(top))
    (place / "link").symlink_to(top / "app")
    return place / "link", top


def by_a_symlink_to_the_top(place: Path) -> tuple[Path, Path]:
    top = place / "repository"
    begin(top / "app", top_of(top))
    (place / "link").symlink_to(top)
    return place / "link" / "app", top


def with_the_context_beside_it(place: Path) -> tuple[Path, Path]:
    top = place / "repository"
    app = begin(top / "source", top_of(top))
    (top / "deploy").mkdir()
    for what in ("one", "two"):
        (app / "answer.txt").write_text(what)
        (top / "deploy" / "deploy.toml").write_text(TOML + '[build]\ncontext = "../source"\n')
        commit(top, f"{what}, elsewhere")
        git(top, "tag", "-f", what)
    return top / "deploy", top


def with_an_absolute_context(place: Path, way: str = "repository") -> tuple[Path, Path]:
    top = place / "repository"
    more = f'[build]\ncontext = "{place / way}/app"\n'
    write(top / "app", "one", more)
    git(top, "init", "-q")
    commit(top, "first")
    git(top, "tag", "one")
    write(top / "app", "two", more)
    commit(top, "second")
    return top / "app", top


def with_an_absolute_context_by_a_symlink(place: Path) -> tuple[Path, Path]:
    place.mkdir()
    (place / "link").symlink_to(place / "repository")
    return with_an_absolute_context(place, "link")


def with_deploy_toml_elsewhere(place: Path) -> tuple[Path, Path]:
    top = begin(place / "repository")
    (place / "deploy.toml").write_text(TOML + '[build]\ncontext = "repository"\n')
    return place, top


def top_of(top: Path) -> Path:
    top.mkdir(parents=True)
    return top


@pytest.mark.parametrize(
    "make",
    [
        at_the_top,
        in_a_subfolder,
        with_spaces_and_more,
        by_a_symlink,
        by_a_symlink_to_the_top,
        with_the_context_beside_it,
        with_an_absolute_context,
        with_an_absolute_context_by_a_symlink,
        with_deploy_toml_elsewhere,
    ],
)
def test_wherever_the_app_lies(tmp_path: Path, store: Stores, make: Made) -> None:
    folder, top = make(tmp_path / "here")
    there = config(folder)
    clean = store.source_control.state(there)
    assert (clean.commit, clean.dirty) == (git(top, "rev-parse", "HEAD"), False), clean
    made = store.read(there, keep=False).digest
    lost = version("v1", manifest=made, git_commit=clean.commit)
    (there.context_dir / "answer.txt").write_text("being edited")
    assert store.source_control.state(there).dirty is True
    with store.source_control.at(there, store.source_control.resolve(there, "one")) as (_, building):
        assert answer(building) == "one"
        assert building.context_dir.is_relative_to(tmp_path / "state")
    # What was built from the commit before can be built again.
    with checkout(store, there, lost) as building:
        assert answer(building) == "two"
        assert store.read(building, keep=False).digest == made
    assert answer(there) == "being edited"
    assert left(tmp_path, top) == []


def test_the_first_of_two_checkouts_has_the_others_identity(app: Path, store: Stores) -> None:
    one = store.source_control.resolve(config(app), "one")
    with (
        store.source_control.at(config(app), one) as (_, first),
        store.source_control.at(config(app), one) as (_, second),
    ):
        assert first.context_dir != second.context_dir
        digests = {store.read(building, keep=False).digest for building in (first, second)}
    git(app, "checkout", "-q", "one")
    assert digests == {store.read(config(app), keep=False).digest}


# --- whose configuration -----------------------------------------------------------------------------------------


def test_the_commits_own_configuration_with_the_folders_paths(app: Path, store: Stores) -> None:
    more = '[run]\nenv_file = "secret.env"\nvolumes = ["./data:/data"]\n[build]\ncontext = "."\nargs = { X = "old" }\n'
    write(app, "three", more)
    (app / ".gitignore").write_text("secret.env\ndata/\n")
    third = commit(app, "third")
    write(app, "four", more.replace("old", "new"))
    (app / "secret.env").write_text("TOKEN=1\n")
    (app / "data").mkdir()
    with store.source_control.at(config(app), third) as (own, building):
        assert own is not None
        assert own.build.args == building.build.args == {"X": "old"}
        assert own.environment() == building.environment() == {"TOKEN": "1"}
        assert own.run.volumes == [f"{app}/data:/data:rw"]
        # Not to be mounted: what it names in the checkout is not sent to the builder either.
        assert building.run.volumes == [f"{building.base}/data:/data:rw"]
        assert (own.base, own.source) == (app, str(app / "deploy.toml"))
        assert own.context_dir == app
        assert str(building.context_dir) not in str(own.snapshot())


def test_a_commit_without_configuration(app: Path, store: Stores) -> None:
    (app / "deploy.toml").rename(app / "kept")
    git(app, "rm", "-q", "--cached", "deploy.toml", "--ignore-unmatch")
    bare = commit(app, "no deploy.toml")
    (app / "kept").rename(app / "deploy.toml")
    with store.source_control.at(config(app), bare) as (own, building):
        assert own is None
        assert answer(building) == "two"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOML + '[health]\ntimeout = "soon"\n', "health.timeout"),
        ("[app\n", "not valid TOML"),
        ('[app]\nname = "mymodel"\nport = 8080\n[run]\nenv_file = "gone.env"\n', "run.env_file"),
        ('[app]\nname = "mymodel"\nport = 8080\n[run]\nvolumes = ["./gone:/x"]\n', "run.volumes[0]"),
    ],
)
def test_a_commit_with_a_bad_configuration(app: Path, store: Stores, text: str, words: str) -> None:
    (app / "deploy.toml").write_text(text)
    bad = commit(app, "bad")
    write(app, "good")
    with pytest.raises(UsageError, match=rf"the deploy.toml of commit {bad[:10]} cannot be used") as caught:
        store.source_control.at(config(app), bad).__enter__()
    assert words in caught.value.details


def test_a_folder_that_is_gone_today(app: Path, store: Stores) -> None:
    write(app / "source", "three")
    (app / "deploy.toml").write_text(TOML + '[build]\ncontext = "source"\n')
    (app / "source" / "deploy.toml").unlink()
    third = commit(app, "third")
    shutil.rmtree(app / "source")
    write(app, "four")
    with store.source_control.at(config(app), third) as (own, building):
        assert own is not None
        assert answer(building) == "three"


def test_a_folder_that_the_commit_does_not_have(app: Path, store: Stores) -> None:
    (app / ".gitignore").write_text("made/\n")
    (app / "made").mkdir()
    (app / "deploy.toml").write_text(TOML + '[build]\ncontext = "made"\n')
    third = commit(app, "third")
    with pytest.raises(UsageError, match=rf"build.context: commit {third[:10]} has no {app}/made"):
        store.source_control.at(config(app), third).__enter__()


# --- weights -----------------------------------------------------------------------------------------------------


def weights(place: Path, what: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "w.bin").write_text(what)
    return place


def test_weights_of_the_commit(app: Path, store: Stores) -> None:
    weights(app / "model", "old")
    write(app, "three", '[model]\npath = "model"\n')
    third = commit(app, "third")
    weights(app / "model", "new")
    with store.source_control.at(config(app), third) as (own, building):
        assert own is not None and own.model_dir == app / "model"
        assert building.model_dir is not None
        assert (building.model_dir / "w.bin").read_text() == "old"


@pytest.mark.parametrize("place", ["model/w.bin", "answer.txt"])
def test_pointers_of_git_lfs_are_no_weights(project: Project, tmp_path: Path, place: str) -> None:
    write(project.app, "three", '[model]\npath = "model"\n')
    weights(project.app / "model", "weights")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 7\n"
    (project.app / place).write_text(pointer)
    third = commit(project.app, "third")
    (project.app / place).write_text("fetched")
    with pytest.raises(UsageError, match="a Git LFS pointer"):
        project.make("v1", third)
    assert project.live() is None
    assert left(tmp_path, project.app) == []


def test_weights_that_the_commit_does_not_have(app: Path, store: Stores, tmp_path: Path) -> None:
    weights(app / "model", "only here")
    (app / ".gitignore").write_text("model/\n")
    write(app, "three", '[model]\npath = "model"\n')
    third = commit(app, "third")
    with pytest.raises(UsageError, match=rf"model.path: commit {third[:10]} has no {app}/model") as caught:
        store.source_control.at(config(app), third).__enter__()
    assert "Git LFS" in caught.value.hint
    assert "absolute path" in caught.value.hint
    assert left(tmp_path, app) == []


@pytest.mark.parametrize("how", ["absolute", "relative", "a symlink"])
def test_weights_outside_of_the_repository(app: Path, store: Stores, tmp_path: Path, how: str) -> None:
    outside = weights(tmp_path / "outside", "as they are")
    path = {"absolute": str(outside), "relative": "../outside", "a symlink": "model"}[how]
    if how == "a symlink":
        (app / "model").symlink_to(outside)
    write(app, "three", f'[model]\npath = "{path}"\n')
    third = commit(app, "third")
    with store.source_control.at(config(app), third) as (_, building):
        assert building.model_dir is not None
        assert building.model_dir.resolve() == outside
    lost = version("v1", manifest=store.read(config(app), keep=False).digest, git_commit=third)
    with checkout(store, config(app), lost) as building:
        assert store.read(building, keep=False).digest == lost.manifest


def test_a_symlink_that_leads_back_into_the_tree(app: Path, store: Stores) -> None:
    weights(app / "today", "dirty")
    (app / "model").symlink_to(app / "today")
    write(app, "three", '[model]\npath = "model"\n')
    third = commit(app, "third")
    with pytest.raises(UsageError, match="a symlink of the commit leads to"):
        store.source_control.at(config(app), third).__enter__()


# --- submodules --------------------------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A repository that has a submodule itself."""
    inner, outer = tmp_path / "inner", tmp_path / "library"
    for place, what in ((inner, "inner"), (outer, "outer")):
        place.mkdir()
        (place / f"{what}.py").write_text(what)
        git(place, "init", "-q")
        commit(place, what)
    git(outer, "submodule", "--quiet", "add", f"file://{inner}", "nested")
    commit(outer, "nested")
    return outer


@pytest.fixture
def composed(app: Path, library: Path) -> Path:
    git(app, "submodule", "--quiet", "add", f"file://{library}", "lib/a b")
    git(app, "submodule", "--quiet", "update", "--init", "--recursive")
    commit(app, "with a submodule")
    git(app, "tag", "composed")
    return app


def test_submodules_are_in_it(composed: Path, store: Stores, tmp_path: Path, library: Path) -> None:
    (library / "outer.py").write_text("newer")
    newer = commit(library, "newer")
    git(composed / "lib/a b", "fetch", "-q")
    git(composed / "lib/a b", "checkout", "-q", newer)
    commit(composed, "a newer submodule")
    (composed / "lib/a b" / "outer.py").write_text("being edited")
    before = fingerprint(composed)
    with store.source_control.at(config(composed), store.source_control.resolve(config(composed), "composed")) as (
        _,
        building,
    ):
        assert (building.context_dir / "lib/a b/outer.py").read_text() == "outer"
        assert (building.context_dir / "lib/a b/nested/inner.py").read_text() == "inner"
    assert fingerprint(composed) == before
    assert left(tmp_path, composed) == []


def test_submodules_that_were_never_fetched(composed: Path, store: Stores, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(composed), "clone")
    clone = tmp_path / "clone"
    before = fingerprint(clone)
    with store.source_control.at(config(clone), store.source_control.resolve(config(clone), "HEAD")) as (_, building):
        assert (building.context_dir / "lib/a b/nested/inner.py").read_text() == "inner"
    assert fingerprint(clone) == before, "its configuration too: it has no submodules of its own still"


def test_a_version_with_submodules_is_built_again(composed: Path, store: Stores) -> None:
    there = config(composed)
    made = store.read(there, keep=False).digest
    lost = version("v1", manifest=made, git_commit=git(composed, "rev-parse", "HEAD"))
    with checkout(store, there, lost) as building:
        assert store.read(building, keep=False).digest == made


def test_weights_in_a_submodule(app: Path, store: Stores, tmp_path: Path) -> None:
    hub = weights(tmp_path / "hub", "weights")
    git(hub, "init", "-q")
    commit(hub, "weights")
    git(app, "submodule", "--quiet", "add", f"file://{hub}", "model")
    write(app, "three", '[model]\npath = "model"\n')
    third = commit(app, "third")
    made = store.read(config(app), keep=False)
    assert not [path for path in made.files if ".git" in Path(path).parts]
    with store.source_control.at(config(app), third) as (_, building):
        assert store.read(building, keep=False).digest == made.digest
    assert store.source_control.state(config(app)).dirty is False
    weights(app / "model", "changed")
    assert store.source_control.state(config(app)).changed == ("model",)


@pytest.mark.parametrize("how", ["edited", "untracked", "another commit"])
def test_a_changed_submodule_is_a_change(composed: Path, store: Stores, how: str) -> None:
    assert store.source_control.state(config(composed)).dirty is False
    inside = composed / "lib/a b"
    (inside / ("new.py" if how == "untracked" else "outer.py")).write_text("changed")
    if how == "another commit":
        commit(inside, "changed")
    git(composed, "config", "submodule.lib/a b.ignore", "all")
    state = store.source_control.state(config(composed))
    assert (state.dirty, state.changed) == (True, ("lib/a b",))


def test_a_context_inside_a_submodule(composed: Path, store: Stores) -> None:
    (composed / "deploy.toml").write_text(TOML + '[build]\ncontext = "lib/a b/nested"\n')
    commit(composed, "the context is far inside")
    state = store.source_control.state(config(composed))
    assert (state.commit, state.dirty) == (git(composed, "rev-parse", "HEAD"), False)
    (composed / "lib/a b/nested/inner.py").write_text("changed")
    assert store.source_control.state(config(composed)).changed == ("lib/a b",)
    with store.source_control.at(config(composed), state.commit or "") as (_, building):
        assert (building.context_dir / "inner.py").read_text() == "inner"


def test_a_submodule_that_cannot_be_had(composed: Path, store: Stores, tmp_path: Path, library: Path) -> None:
    git(tmp_path, "clone", "-q", str(composed), "clone")
    library.rename(tmp_path / "moved")
    clone = tmp_path / "clone"
    before = fingerprint(clone)
    with pytest.raises(GitError, match=r"the submodule lib/a b of commit .* cannot be fetched") as caught:
        store.source_control.at(config(clone), store.source_control.resolve(config(clone), "HEAD")).__enter__()
    assert f"{library}' does not appear to be a git repository" in caught.value.why
    assert "checkouts" not in caught.value.why
    assert fingerprint(clone) == before
    assert left(tmp_path, clone) == []


# --- what is seen ------------------------------------------------------------------------------------------------


def edit(app: Path) -> None:
    (app / "answer.txt").write_text("edited")


def stage(app: Path) -> None:
    edit(app)
    git(app, "add", "answer.txt")


def remove(app: Path) -> None:
    (app / "answer.txt").unlink()


def configure(app: Path) -> None:
    write(app, "two", '[run]\nenv = { A = "1" }\n')


def add(app: Path) -> None:
    (app / "ein Zeichen ß\t.txt").write_text("new")


def rename(app: Path) -> None:
    git(app, "mv", "answer.txt", "reply.txt")


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        (edit, ("answer.txt",)),
        (stage, ("answer.txt",)),
        (remove, ("answer.txt",)),
        (configure, ("deploy.toml",)),
        (add, ("ein Zeichen ß\t.txt",)),
        (rename, ("answer.txt", "reply.txt")),
    ],
)
def test_every_kind_of_change(app: Path, store: Stores, change: Callable[[Path], None], paths: tuple[str, ...]) -> None:
    change(app)
    state = store.source_control.state(config(app))
    assert (state.dirty, state.changed) == (True, paths)
    assert state.commit == git(app, "rev-parse", "HEAD")


def test_only_what_the_version_is_made_of_counts(tmp_path: Path, store: Stores) -> None:
    top = tmp_path / "repository"
    app = begin(top / "app" / "source", top_of(top))
    (app / "deploy.toml").rename(top / "app" / "deploy.toml")
    toml = TOML + '[build]\ncontext = "source"\n[model]\npath = "../weights"\n'
    (top / "app" / "deploy.toml").write_text(toml)
    weights(top / "weights", "1")
    (top / ".gitignore").write_text("*.log\n")
    commit(top, "third")
    (top / "README").write_text("of another app")
    (top / "app" / "notes").write_text("of nobody")
    (app / "debug.log").write_text("ignored")
    there = config(top / "app")
    assert store.source_control.state(there).changed == ()
    weights(top / "weights", "2")
    (top / "app" / "deploy.toml").write_text(toml + "# a remark\n")
    assert store.source_control.state(there).changed == ("app/deploy.toml", "weights/w.bin")


def test_where_there_is_nothing_to_see(tmp_path: Path, store: Stores) -> None:
    write(tmp_path / "plain", "plain")
    state = store.source_control.state(config(tmp_path / "plain"))
    assert (state.commit, state.dirty, state.refused) == (None, None, False)
    assert "is not in a Git repository" in state.missing
    git(tmp_path / "plain", "init", "-q")
    state = store.source_control.state(config(tmp_path / "plain"))
    assert (state.commit, state.dirty) == (None, True)
    assert "has no commit yet" in state.missing


def test_a_repository_of_somebody_else(app: Path, store: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    state = store.source_control.state(config(app))
    assert (state.commit, state.refused) == (None, True)
    assert "another user owns it" in state.missing
    assert state.hint == f"git config --global --add safe.directory {app}"
    with pytest.raises(UsageError, match="another user owns it") as caught:
        store.source_control.resolve(config(app), "one")
    assert caught.value.hint == state.hint


# --- tags --------------------------------------------------------------------------------------------------------


def test_a_tag_says_what_it_is(app: Path, store: Stores) -> None:
    head = git(app, "rev-parse", "HEAD")
    git(app, "config", "user.name", "Configured")
    git(app, "config", "user.email", "con@figured.example")
    assert store.source_control.tag(
        config(app), "mymodel/v1", head, "mymodel v1\n\nmanifest: sha256:1\n", "A <a@b>"
    ) == (True, "")
    assert git(app, "cat-file", "-t", "mymodel/v1") == "tag"
    shown = git(app, "cat-file", "tag", "mymodel/v1")
    assert f"object {head}" in shown
    assert "tagger Configured <con@figured.example>" in shown
    assert shown.endswith("mymodel v1\n\nmanifest: sha256:1")
    before = fingerprint(app)
    assert store.source_control.tag(config(app), "mymodel/v1", head, "other words", "A <a@b>") == (False, "")
    assert fingerprint(app) == before


@pytest.mark.parametrize(
    ("author", "tagger"),
    [
        ("Some Body <some@body>", "Some Body <some@body>"),
        ("root", "root <deployctl@localhost>"),
        ("", "deployctl <deployctl@localhost>"),
        ("<only@mail>", "deployctl <only@mail>"),
        ("Line\nbreak <a@b>", "Line break <a@b>"),
    ],
)
def test_nobody_is_configured(app: Path, store: Stores, author: str, tagger: str) -> None:
    head = git(app, "rev-parse", "HEAD")
    assert store.source_control.tag(config(app), "mymodel/v1", head, "message", author) == (True, "")
    assert f"tagger {tagger} " in git(app, "cat-file", "tag", "mymodel/v1")


def test_who_signs_tags_signs_their_own(app: Path, store: Stores) -> None:
    for key in ("tag.gpgSign", "tag.forceSignAnnotated"):
        git(app, "config", key, "true")
    git(app, "config", "gpg.program", "/bin/false")
    head = git(app, "rev-parse", "HEAD")
    assert store.source_control.tag(config(app), "mymodel/v1", head, "message", "A <a@b>") == (True, "")


def test_a_tag_is_never_moved(app: Path, store: Stores) -> None:
    head = git(app, "rev-parse", "HEAD")
    git(app, "tag", "mymodel/v1", "one")
    written, why = store.source_control.tag(config(app), "mymodel/v1", head, "message", "A <a@b>")
    assert not written
    assert "is not moved" in why
    assert git(app, "rev-parse", "mymodel/v1^{commit}") == git(app, "rev-parse", "one^{commit}")
    git(app, "tag", "mymodel/v2", git(app, "rev-parse", "main:answer.txt"))
    assert "not a commit" in store.source_control.tag(config(app), "mymodel/v2", head, "message", "A <a@b>")[1]


@pytest.mark.parametrize("why", ["a tag is in the way", "it cannot be written", "the commit is gone"])
def test_a_tag_that_cannot_be_written(app: Path, store: Stores, why: str) -> None:
    head = git(app, "rev-parse", "HEAD")
    if why == "a tag is in the way":
        git(app, "tag", "mymodel")
    elif why == "it cannot be written":
        shutil.rmtree(app / ".git" / "refs" / "tags")
        (app / ".git" / "refs" / "tags").write_text("")  # not even root can create a folder there
    else:
        head = "0123456789" * 4
    written, said = store.source_control.tag(config(app), "mymodel/v1", head, "message", "A <a@b>")
    assert not written
    assert said


# --- killed, and side by side ------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from orchestrator.adapters.git.source_control import GitSourceControl
from orchestrator.config import load
config, git = load(Path(sys.argv[1])), GitSourceControl(Path(sys.argv[2], "checkouts"))
with git.at(config, git.resolve(config, "HEAD")) as (own, building):
    (building.context_dir / "half").write_text("written")
    print(building.context_dir)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(file: Path, state: Path) -> Path:
    """Kills a process that has a checkout; returns its folder."""
    command = [sys.executable, "-c", KILLED, str(file), str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    return Path(done.stdout.strip())


def test_what_a_killed_command_left(app: Path, composed: Path, store: Stores, tmp_path: Path) -> None:
    user = tmp_path / "users"
    git(app, "worktree", "add", "-q", "--detach", str(user))
    user.rename(tmp_path / "unplugged")  # a worktree of the user's that is not there now
    before = fingerprint(app)
    place = killed(app / "deploy.toml", tmp_path / "state")
    assert (place / "half").exists()
    assert str(place) in git(app, "worktree", "list")
    store.source_control.tidy("other")
    assert place.exists()
    store.source_control.tidy("mymodel")
    assert not list((tmp_path / "state" / "checkouts").iterdir())
    assert fingerprint(app) == before
    (tmp_path / "unplugged").rename(user)
    assert git(user, "rev-parse", "HEAD") == git(app, "rev-parse", "HEAD")


@pytest.mark.parametrize("gone", ["the repository", "the folder", "what is in it"])
def test_what_a_killed_command_left_and_somebody_touched(app: Path, store: Stores, tmp_path: Path, gone: str) -> None:
    place = killed(app / "deploy.toml", tmp_path / "state")
    if gone == "the repository":
        shutil.rmtree(app)
    elif gone == "the folder":
        shutil.rmtree(place)
    else:
        (place / ".git").unlink()
    store.source_control.tidy("mymodel")
    assert not list((tmp_path / "state" / "checkouts").iterdir())
    if app.exists():
        assert left(tmp_path, app) == []


def test_a_checkout_that_is_in_use_is_not_tidied_away(app: Path, store: Stores, tmp_path: Path) -> None:
    with store.source_control.at(config(app), store.source_control.resolve(config(app), "one")) as (_, building):
        Stores(tmp_path / "state").source_control.tidy("mymodel")
        assert answer(building) == "one"
    assert left(tmp_path, app) == []


def test_many_at_once(tmp_path: Path) -> None:
    """Apps of one repository add and remove worktrees at the same time, and tidy up after each other."""
    top = tmp_path / "repository"
    begin(top / "app", top_of(top))
    failed: list[Exception] = []

    def work() -> None:
        try:
            mine = Stores(tmp_path / "state")
            there = config(top / "app")
            for ref in ("one", "main", "one", "main"):
                with mine.source_control.at(there, mine.source_control.resolve(there, ref)) as (_, building):
                    assert answer(building) == {"one": "one", "main": "two"}[ref]
                mine.source_control.tidy("mymodel")
        except Exception as error:  # noqa: BLE001  the main thread tells it
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(error) for error in failed] == []
    assert left(tmp_path, top) == []
    assert git(top, "status", "--porcelain") == ""


# --- the use cases -----------------------------------------------------------------------------------------------


@dataclass
class Built:
    """The contents of the build contexts, by version."""

    answers: dict[str, str] = field(default_factory=dict)
    places: list[Path] = field(default_factory=list)


class Project(World):
    """A world whose app is in a real folder."""

    def __init__(self, state: Path, app: Path) -> None:
        super().__init__(state)
        self.app = app
        self.stores = Stores(state)
        self.built = Built()
        real = self.images.build

        def build(spec: BuildSpec, progress: Progress) -> str:
            image_id = real(spec, progress)
            self.built.answers[spec.labels[LABEL_VERSION]] = (spec.context / "answer.txt").read_text()
            self.built.places.append(spec.context)
            return image_id

        self.images.build = build  # type: ignore[method-assign]
        self.process()

    def process(self) -> Services:
        services = super().process()
        if hasattr(self, "stores"):  # none yet during the creation of the world
            services = replace(
                services,
                manifests=self.stores.manifests,
                models=self.stores.models,
                source_control=self.stores.source_control,
            )
        self.services = services
        return services

    def config(self) -> Config:
        return load(self.app / "deploy.toml")

    def make(self, version: str | None = None, ref: str | None = None) -> Result:
        return release(self.process(), self.config(), version, ref=ref)

    def tags(self) -> list[str]:
        return git(self.app, "tag", "--list", "mymodel/*").split()

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(event.detail) for event in self.ledger.audit()[0] if event.kind == kind]


@pytest.fixture
def project(app: Path, tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "state", app)
    yield made
    made.close()


def test_a_release_of_a_commit(project: Project, tmp_path: Path) -> None:
    dirty(project.app, "answer.txt")
    before = fingerprint(project.app)
    first = git(project.app, "rev-parse", "one^{commit}")
    result = project.make("v1", "one")
    assert project.built.answers == {"v1": "one"}
    assert fingerprint(project.app) == before
    assert not project.built.places[0].exists()
    known = project.ledger.versions("mymodel")["v1"]
    assert (known.git_commit, known.git_dirty) == (first, False)
    assert result.deployment is not None
    assert result.deployment.git_commit == first
    for stored in (project.ledger.settings("mymodel", "v1"), result.deployment.config, known.settings):
        assert "checkouts" not in str(stored)
    assert project.reports.steps[0] == f"check out commit {first[:10]} (one)"
    assert left(tmp_path, project.app) == []
    # The same again is nothing to do; the folder as it is, is another version.
    assert project.make("v1", "one").deployment is None
    with pytest.raises(UsageError, match="v1 has been live and cannot change"):
        project.make("v1")
    project.make()
    assert project.built.answers["v2"] == "being edited"
    assert project.ledger.versions("mymodel")["v2"].git_dirty is True


def test_the_checkout_is_gone_when_the_image_is_built(project: Project, tmp_path: Path) -> None:
    seen = []
    project.boundary = lambda when, step: seen.append((when, step, len(left(tmp_path, project.app))))
    project.make("v1", "one")
    assert [count > 0 for when, step, count in seen if (when, step) == ("before", "build")] == [True]
    assert {count for when, step, count in seen if step != "build"} == {0}
    seen.clear()
    project.make("v2")
    project.make("v1", "one")  # its image is used again
    assert {count for *_, count in seen} == {0}


def test_what_changes_while_it_is_read_is_dirty(project: Project) -> None:
    real = project.stores.manifests.read

    def read(config: Config, **how: Any) -> Manifest:
        manifest = real(config, **how)
        (project.app / "late.txt").write_text("late")
        return manifest

    project.stores.manifests.read = read  # type: ignore[method-assign]
    with pytest.raises(DeploymentFailed, match=r"late.txt changed while"):
        project.make("v1")
    write(project.app, "three", CLEAN)
    commit(project.app, "third")
    (project.app / "late.txt").unlink()
    with pytest.raises(UsageError, match="1 path differs"):
        project.make("v1")


@pytest.mark.parametrize("how", ["the build fails", "another app", "not a commit", "cut short"])
def test_a_release_of_a_commit_that_fails(project: Project, tmp_path: Path, how: str) -> None:
    project.make("v1")
    before = fingerprint(project.app)
    ref, expected = "one", UsageError
    if how == "the build fails":
        project.engine.broken_builds.add("v2")
        expected = BuildFailed  # type: ignore[assignment]
    elif how == "another app":
        (project.app / "deploy.toml").write_text(TOML.replace("mymodel", "another"))
        git(project.app, "checkout", "-q", "-b", "other")
        commit(project.app, "another app")
        git(project.app, "checkout", "-q", "main")
        before, ref = fingerprint(project.app), "other"
    elif how == "not a commit":
        ref = "none"
    else:
        (project.app / ".git" / "info" / "attributes").write_text("* filter=slow\n")
        git(project.app, "config", "--global", "filter.slow.smudge", f"kill -INT {os.getpid()}; sleep 30")
        before = fingerprint(project.app)
        expected = Interrupted  # type: ignore[assignment]
    services = project.process()
    if how == "cut short":
        services.interrupts.install()
    with pytest.raises(expected):
        release(services, project.config(), "v2", ref=ref)
    assert project.served() == "v1"
    assert fingerprint(project.app) == before
    assert left(tmp_path, project.app) == []


def test_a_plan_of_a_commit(project: Project, tmp_path: Path) -> None:
    dirty(project.app, "answer.txt")
    before = fingerprint(project.app)
    services = project.process()
    with opened(services, project.config(), "one") as source:
        planned = prepare_release(services, source, "v1", observe(services, "mymodel"))
    assert planned.draft.version.git_commit == git(project.app, "rev-parse", "one^{commit}")
    made = project.make("v1", "one")
    assert project.ledger.versions("mymodel")["v1"].manifest == planned.draft.version.manifest
    assert made.deployment is not None
    assert fingerprint(project.app) == before
    assert left(tmp_path, project.app) == []


def test_how_it_is_watched_is_todays_affair(project: Project) -> None:
    write(project.app, "two", '[rollout]\nkeep_warm = "0s"\n[watchdog]\nrestarts = 9\n[judge]\nalpha = 0.1\n')
    result = project.make("v1", "one")
    assert result.config is not None
    assert result.config.watchdog.restarts == 9
    assert result.config.judge.alpha == 0.1
    assert result.config.rollout.keep_warm == 600


def test_a_commit_without_configuration_is_noted(project: Project) -> None:
    git(project.app, "rm", "-q", "--cached", "deploy.toml")
    git(project.app, "commit", "-q", "-m", "no deploy.toml")
    result = project.make("v1", "HEAD")
    assert result.notes[0].endswith("has no deploy.toml: the current one is used")
    assert project.reports.notes == list(result.notes)


def test_a_lost_image_is_built_again_from_a_commit_that_was_released_by_its_name(project: Project) -> None:
    project.make("v1", "one")
    project.make("v2")
    for container in project.workloads.containers("mymodel"):
        if container.version == "v1":
            project.workloads.remove(container)
    del project.engine.images["mymodel:v1"]
    edit(project.app)
    project.built.answers.clear()
    project.rollback()
    assert project.served() == "v1"
    assert project.built.answers == {"v1": "one"}


def test_only_what_is_committed(project: Project) -> None:
    write(project.app, "three", CLEAN)
    before = project.facts()
    with pytest.raises(UsageError, match=r"git.require_clean: 2 paths differ from commit") as caught:
        project.make("v1")
    assert caught.value.details == "  answer.txt\n  deploy.toml"
    assert caught.value.exit_code == 2
    assert "--ref" in caught.value.hint
    assert project.facts() == before
    assert project.ledger.deployments("mymodel") == []
    head = commit(project.app, "third")
    edit(project.app)
    project.make("v1", "HEAD")
    assert project.built.answers == {"v1": "three"}
    git(project.app, "checkout", "-q", ".")
    project.make("v1")
    for number in range(7):
        (project.app / f"new {number}").write_text("")
    with pytest.raises(UsageError, match="7 paths differ") as caught:
        project.make("v2")
    assert caught.value.details.splitlines()[-1] == "  … and 2 more"
    assert project.ledger.versions("mymodel")["v1"].git_commit == head


@pytest.mark.parametrize("how", ["no repository", "no commit", "no Git", "somebody else's"])
def test_where_nothing_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    write(tmp_path / "plain", "plain", CLEAN)
    if how in ("no commit", "somebody else's"):
        git(tmp_path / "plain", "init", "-q")
    if how == "no Git":
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    if how == "somebody else's":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    project = Project(tmp_path / "state", tmp_path / "plain")
    with pytest.raises(UsageError, match=r"git.require_clean: there is no commit to release") as caught:
        project.make("v1")
    assert caught.value.why
    project.close()


@pytest.mark.parametrize("how", ["no repository", "no Git"])
def test_everything_else_works_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    write(tmp_path / "plain", "one", "[git]\ntag = true\n")
    if how == "no Git":
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    project = Project(tmp_path / "state", tmp_path / "plain")
    project.make("v1")
    assert project.reports.notes == ["the tag mymodel/v1 was not written: v1 was built outside of Git"]
    write(tmp_path / "plain", "two")
    project.make("v2")
    assert project.ledger.versions("mymodel")["v2"].git_commit is None
    project.rollback()
    assert project.served() == "v1"
    project.recover()
    with pytest.raises(UsageError, match="--ref needs a Git repository"):
        project.make("v3", "HEAD")
    project.close()


def test_a_repository_that_git_does_not_look_into_is_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    result = project.make("v1")
    assert len(result.notes) == 1
    assert "another user owns it" in result.notes[0]
    assert "safe.directory" in result.notes[0]


TAG = "[git]\ntag = true\n"
AT_ONCE = '[rollout]\nsettle = "0s"\n'


def tagged(project: Project, more: str = AT_ONCE) -> str:
    write(project.app, "three", TAG + more)
    return commit(project.app, "third")


def test_a_stable_version_is_tagged(project: Project) -> None:
    head = tagged(project)
    project.make("v1")
    assert git(project.app, "rev-parse", "mymodel/v1^{commit}") == head
    known = project.ledger.versions("mymodel")["v1"]
    words = git(project.app, "tag", "--list", "--format=%(contents)", "mymodel/v1")
    assert words == (
        f"mymodel v1\n\nmanifest: {known.manifest}\nstable since: {known.stable_at}\nreleased by: {known.author}"
    )
    assert project.events("tagged") == [{"version": "v1", "tag": "mymodel/v1", "commit": head}]
    edit(project.app)
    git(project.app, "commit", "-qam", "another one")
    (project.app / "not-committed").write_text("x")
    project.make("v2", "HEAD")
    assert project.tags() == ["mymodel/v1", "mymodel/v2"]
    git(project.app, "tag", "-d", "mymodel/v1")
    git(project.app, "checkout", "-q", ".")
    project.rollback()
    assert project.tags() == ["mymodel/v2"], "a rollback writes none"


def test_nobody_asked_for_a_tag(project: Project) -> None:
    project.make("v1")
    assert project.tags() == []
    assert project.reports.notes == []


def test_a_dirty_version_gets_no_tag(project: Project) -> None:
    tagged(project)
    edit(project.app)
    project.make("v1")
    assert project.tags() == []
    assert project.reports.notes == [
        "the tag mymodel/v1 was not written: v1 was built from changes that are not committed"
    ]


def test_a_version_that_bakes_is_tagged_when_it_is_promoted(project: Project) -> None:
    tagged(project, '[rollout]\nbake = "60s"\n')
    project.make("v1")
    assert project.tags() == []
    project.time += 61
    assert project.watch().outcome == "acted"
    assert project.tags() == ["mymodel/v1"]
    assert project.watch().outcome == "healthy"
    assert len(project.events("tagged")) == 1


def test_a_version_that_does_not_come_through_its_bake_is_never_tagged(project: Project) -> None:
    project.make("v1")
    tagged(project, '[rollout]\nbake = "60s"\n')
    project.make("v2")
    project.prober.unready.add("v2")
    for _ in range(40):
        project.time += 10
        project.watch()
    assert project.served() == "v1"
    assert project.tags() == []


@pytest.mark.parametrize("when", ["before", "acted"])
def test_recovery_tags_too(project: Project, when: str) -> None:
    head = tagged(project)

    def die(at: str, step: str) -> None:
        if (at, step) == (when, "settle"):
            raise Crash

    project.boundary = die
    with pytest.raises(Crash):
        project.make("v1")
    project.boundary = lambda at, step: None
    project.recover()
    assert git(project.app, "rev-parse", "mymodel/v1^{commit}") == head
    assert len(project.events("tagged")) == 1
    project.recover()
    assert project.tags() == ["mymodel/v1"]


def test_a_tag_that_cannot_be_written_spoils_nothing(project: Project) -> None:
    tagged(project)
    git(project.app, "tag", "mymodel")
    result = project.make("v1")
    assert result.deployment is not None
    assert project.served() == "v1"
    (note,) = project.reports.notes
    assert note.startswith("the tag mymodel/v1 was not written: ")
    (event,) = project.events("tag-failed")
    assert event["why"] in note
