"""Releases of commits, and tags for versions, with a real repository and the real engine."""

from __future__ import annotations

import signal
import time

import pytest

from tests.engine.harness import App, Load
from tests.repositories import commit, dirty, fingerprint, git, worktrees


@pytest.fixture
def committed(app: App) -> App:
    """Two commits, `one` and `two`, and a tree with all kinds of changes. Nothing is released yet."""
    app.config["rollout"]["keep_warm"] = "0s"
    for name in ("one", "two"):
        app.write(name)
        if name == "one":
            git(app.folder, "init", "-q")
        commit(app.folder, name)
        git(app.folder, "tag", name)
    dirty(app.folder, "version")
    return app


def left(app: App) -> list[str]:
    """The existing checkouts."""
    return worktrees(app.folder) + [str(path) for path in app.state_dir.glob("checkouts/*")]


def test_a_commit_is_released_and_the_tree_stays_as_it_was(committed: App) -> None:
    app = committed
    before = fingerprint(app.folder)
    planned = app.json("plan", "release", "v1", "--ref", "one")
    assert planned["steps"][0]["name"] == "build"
    app.run("release", "v1", "--ref", "one")
    assert app.serving() == "one"
    first = app.json("show", "v1")
    assert (first["git_commit"], first["git_dirty"]) == (git(app.folder, "rev-parse", "one"), False)
    with Load(app.port, clients=4) as load:
        app.run("release", "v2", "--ref", "two")
        assert app.serving() == "two"
    assert load.failures() == []
    app.run("rollback")
    assert app.serving() == "one"
    refused = app.run("release", "v3", "--ref", "three", code=2)
    assert "'three' is not a commit" in refused.stderr
    assert fingerprint(app.folder) == before
    assert left(app) == []
    # Only what is asked for comes from the tree.
    app.run("release", "v3")
    assert app.get()[2].startswith("being edited")


@pytest.mark.parametrize("crash", ["before:build", "acted:engine.build"])
def test_killed_in_the_middle_of_the_build(committed: App, crash: str) -> None:
    app = committed
    before = fingerprint(app.folder)
    app.run("release", "v1", "--ref", "one", code=-signal.SIGKILL, crash=crash)
    assert len(left(app)) > 0
    assert app.json("recover")["direction"] == "undo"
    assert left(app) == []
    assert fingerprint(app.folder) == before
    app.run("release", "v1", "--ref", "one")
    assert app.serving() == "one"
    assert left(app) == []


def test_a_stable_version_is_tagged_and_one_that_bakes_when_it_is_promoted(committed: App) -> None:
    app = committed
    app.config["git"] = {"tag": True}
    app.write("three")
    third = commit(app.folder, "three")
    app.run("release", "v1")
    assert git(app.folder, "rev-parse", "mymodel/v1^{commit}") == third
    assert app.json("show", "v1")["manifest"] in git(app.folder, "cat-file", "tag", "mymodel/v1")
    app.config["rollout"]["bake"] = "2s"
    app.write("four")
    fourth = commit(app.folder, "four")
    app.run("release", "v2", "--detach")
    assert git(app.folder, "tag", "--list", "mymodel/*") == "mymodel/v1"
    time.sleep(2.1)
    assert "v2 is stable" in app.watch()
    assert git(app.folder, "rev-parse", "mymodel/v2^{commit}") == fourth
    app.run("rollback")
    assert git(app.folder, "tag", "--list", "mymodel/*").split() == ["mymodel/v1", "mymodel/v2"]


def test_a_lost_version_is_built_again_from_its_commit(committed: App) -> None:
    app = committed
    app.run("release", "v1", "--ref", "one")
    app.run("release", "v2", "--ref", "two")
    first = app.json("show", "v1")
    app.container("v1").remove(force=True)
    app.place.client().images.remove(first["image_id"], force=True)
    before = fingerprint(app.folder)
    with Load(app.port, clients=4) as load:
        done = app.run("rollback")
    assert "it is rebuilt from commit" in done.stderr
    assert load.failures() == []
    assert app.serving() == "one"
    assert app.json("show", "v1")["manifest"] == first["manifest"]
    assert fingerprint(app.folder) == before
    assert left(app) == []


def test_only_what_is_committed_is_released(committed: App) -> None:
    app = committed
    app.config["git"] = {"require_clean": True}
    app.write("two")
    refused = app.run("release", "v1", code=2)
    assert "git.require_clean" in refused.stderr
    for name in ("deploy.toml", "staged.txt", "untracked file ü.txt"):
        assert f"  {name}\n" in refused.stderr
    assert app.containers() == {}
    commit(app.folder, "all of it")
    app.run("release", "v1")
    assert app.serving() == "two"
