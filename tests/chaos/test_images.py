"""The engine's images are pruned without deployctl, also the image of the rollback target; and with it."""

from __future__ import annotations

import subprocess

import pytest

from tests.chaos.oracle import at_rest
from tests.chaos.private import PYTHON_IMAGE, PrivateEngine
from tests.engine.harness import App, Load
from tests.engine.test_builds import buildx

__all__ = ["buildx"]


def git(app: App, *arguments: str) -> str:
    identity = ["-c", "user.name=Somebody", "-c", "user.email=some@body.example"]
    command = ["git", "-C", str(app.folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def release(app: App, version: str, *, commit: bool) -> None:
    app.write(version)
    if commit:
        git(app, "add", "-A")
        git(app, "commit", "-q", "-m", version)
    app.run("release", version)


def prune(engine: PrivateEngine) -> None:
    """`docker image prune -a`; the base of later builds is pulled again, as for a user."""
    subprocess.run(["docker", "-H", engine.socket, "image", "prune", "-a", "-f"], check=True, capture_output=True)
    engine.load(PYTHON_IMAGE)


def lose(app: App, version: str) -> None:
    """Removes the containers that use a version's image without deployctl."""
    for container in app.engine_containers():
        if container.labels.get("deployctl.version") == version:
            container.remove(force=True)


@pytest.fixture
def committed(private_app: App) -> App:
    """v2 is live, v1 is cold; both were built from commits."""
    git(private_app, "init", "-q")
    private_app.config["rollout"]["keep_warm"] = "0s"
    release(private_app, "v1", commit=True)
    release(private_app, "v2", commit=True)
    return private_app


def test_the_image_of_the_rollback_target_is_kept(committed: App, private_engine: PrivateEngine) -> None:
    prune(private_engine)
    assert committed.json("status")["previous"]["rollback"]["mode"] == "start"
    committed.run("rollback")
    at_rest(committed, "v1")


def test_a_lost_image_is_built_again_from_its_commit(committed: App, private_engine: PrivateEngine) -> None:
    manifest = committed.json("show", "v1")["manifest"]
    lose(committed, "v1")
    prune(private_engine)
    way = committed.json("status")["previous"]["rollback"]
    assert way["mode"] == "rebuild"
    assert way["seconds"] > 0
    (committed.folder / "version").write_text("being edited")
    before = git(committed, "status", "--porcelain"), git(committed, "rev-parse", "HEAD")
    with Load(committed.port, clients=4, place=committed.place) as load:
        done = committed.run("rollback")
    assert "it is rebuilt from commit" in done.stderr
    assert load.failures() == []
    at_rest(committed, "v1")
    # The user's tree is unchanged, and nothing is left in the repository.
    assert (git(committed, "status", "--porcelain"), git(committed, "rev-parse", "HEAD")) == before
    assert len(git(committed, "worktree", "list").splitlines()) == 1
    image = private_engine.place.client().images.get("mymodel:v1")
    assert image.labels["deployctl.manifest"] == manifest
    assert committed.json("show", "v1")["image_id"] == image.id


def test_a_missing_commit_changes_nothing(committed: App, private_engine: PrivateEngine) -> None:
    lose(committed, "v1")
    prune(private_engine)
    # Replace the history in the same folder.
    subprocess.run(["rm", "-rf", str(committed.folder / ".git")], check=True)
    git(committed, "init", "-q")
    done = committed.run("rollback", code=3)
    assert "cannot be fetched" in done.stderr
    assert "git -C" in done.stderr
    at_rest(committed, "v2")


def test_what_was_never_committed_cannot_be_built_again(private_app: App, private_engine: PrivateEngine) -> None:
    private_app.config["rollout"]["keep_warm"] = "0s"
    release(private_app, "v1", commit=False)
    release(private_app, "v2", commit=False)
    lose(private_app, "v1")
    prune(private_engine)
    done = private_app.run("rollback", code=2)
    assert "its containers and its image are gone" in done.stderr
    assert "files outside of Git" in done.stderr
    at_rest(private_app, "v2")


def test_what_builds_have_left_is_removed_only_by_the_option(
    private_app: App, private_engine: PrivateEngine, buildx: None
) -> None:
    """On an engine of its own, because caches are shared by all programs that build on an engine."""
    app, engine = private_app, private_engine.place.client()
    dockerfile = (app.folder / "Dockerfile").read_text()
    for number, builder in ((1, "classic"), (2, "buildkit")):
        stage = f"FROM {PYTHON_IMAGE} AS stage\nRUN head -c 3000000 /dev/urandom > /{number}\n"
        copied = f"COPY --from=stage /{number} /copied\n"
        (app.folder / "Dockerfile").write_text(stage + dockerfile + copied)
        app.config["build"] = {"builder": builder}
        app.release(f"v{number}")

    def left() -> dict[str, int]:
        cache = [row for row in engine.df()["BuildCache"] or [] if not (row["InUse"] or row["Shared"])]
        return {
            "image": len(engine.images.list(filters={"dangling": True})),
            "cache": sum(row["Size"] for row in cache),
        }

    before = left()
    assert before["image"] >= 1
    assert before["cache"] >= 3_000_000
    app.run("prune")
    found = app.json("prune", "--cache", "--dry-run")
    assert left() == before
    assert {row["kind"] for row in found["leftovers"]} == {"image", "cache"}
    assert (found["leftovers_freed_bytes"], found["dry_run"]) == (None, True)
    done = app.run("prune", "--cache")
    assert "are shared by all programs that build on" in done.stderr
    assert "removed: build cache, " in done.stdout
    assert left()["image"] == 0
    assert left()["cache"] < 1_000_000
    assert app.json("prune", "--cache")["leftovers"] == []
    at_rest(app, "v2")
    app.run("rollback")
    at_rest(app, "v1")
