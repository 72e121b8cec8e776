"""Versions in a real registry: one with TLS and a password, and one that closes connections during a push."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos import FULL
from tests.chaos.oracle import at_rest
from tests.engine.elsewhere import CI
from tests.engine.harness import App, Load, Place, engine, until
from tests.engine.registries import (
    PASSWORD,
    USER,
    Way,
    at_the_manifest,
    everywhere,
    in_a_layer,
    log_in,
    other_host,
    registry,
    trusted,
)
from tests.engine.test_crashes import planned

# A short run has one of each; the tests in memory (tests/unit/release/test_executor.py) have all.
AT_A_PUSH = ("before", "acted", "after") if FULL else ("acted",)
AT_A_PULL = ("before", "acted", "after") if FULL else ("acted",)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The storage that the registries of this file share. It is large, so it is removed at the end."""
    folder = tmp_path_factory.mktemp("registry")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def secured(storage: Path) -> Iterator[str]:
    with (
        other_host() as (address, prefix),
        registry(storage / "secured", storage / "images", address=address, prefix=tuple(prefix), secured=True) as host,
        trusted(host, storage / "secured" / "ca.crt"),
    ):
        yield host


@pytest.fixture(scope="module")
def plain(storage: Path) -> Iterator[Way]:
    """A registry without TLS and password on the loopback: only one, so that the base image is pushed only once."""
    with registry(storage / "plain", storage / "images") as host:
        found = Way(host)
        yield found
        found.close()


@pytest.fixture
def way(plain: Way) -> Iterator[Way]:
    plain.cuts = plain.stalls = 0
    yield plain
    plain.heal()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], App]]:
    """Creates an app that is pushed to a registry, with a unique name: these tests remove images by their tags."""
    made: list[App] = []

    def make(host: str) -> App:
        login = tmp_path / "login"
        login.mkdir(exist_ok=True)
        name = f"m{secrets.token_hex(4)}"
        place = Place(environment={"DOCKER_CONFIG": str(login)})
        app = App(tmp_path / "app", tmp_path / "state", name=name, place=place)
        made.append(app)
        app.config["registry"] = {"push": f"{host}/{name}"}
        with (app.folder / "Dockerfile").open("a") as file:
            file.write("COPY weights /app/\n")
        return app

    yield make
    for app in made:
        app.clean()


def write(app: App, version: str) -> None:
    """A version with a separate layer of 3 MB."""
    app.write(version)
    (app.folder / "weights").write_bytes(os.urandom(3_000_000))


def release(app: App, version: str, *, code: int = 0) -> str:
    write(app, version)
    return app.run("release", version, code=code).stderr


def names(app: App, version: str) -> set[str]:
    """All names of a version's image on the engine."""
    image = engine().images.get(app.json("show", version)["image_id"])
    found = {*image.tags, *image.attrs["RepoDigests"]}
    # With the containerd image store, each image also has a name with its digest.
    return found - {f"{app.name}@{image.id}"} if in_containerd() else found


def in_containerd() -> bool:
    """Whether the engine uses the containerd image store, which has other error messages."""
    return "io.containerd.snapshotter.v1" in str(engine().info()["DriverStatus"])


def lose(app: App, version: str) -> None:
    """Removes the containers and the image of a version without deployctl."""
    for container in app.engine_containers():
        if container.labels.get("deployctl.version") == version:
            container.remove(force=True)
    if there(app, version):
        engine().images.remove(f"{app.name}:{version}")


def there(app: App, version: str) -> bool:
    return bool(engine().images.list(name=f"{app.name}:{version}"))


def foreign(app: App, host: str) -> list[str]:
    """Names in the registry's style that the engine still has for any image."""
    # Not inspected one by one, because other tests remove images meanwhile.
    rows = engine().api.images()
    found = [name for row in rows for name in (*(row["RepoTags"] or []), *(row["RepoDigests"] or []))]
    return [name for name in found if name.startswith(host)]


def test_a_version_comes_back_from_a_registry_with_tls_and_a_password(
    make: Callable[[str], App], secured: str, tmp_path: Path
) -> None:
    app = make(secured)
    log_in(tmp_path / "login", secured)
    release(app, "v1")
    release(app, "v2")
    v1 = app.json("show", "v1")
    assert v1["pushed"].startswith(f"{secured}/{app.name}@sha256:")
    for version in ("v1", "v2"):
        assert names(app, version) == {f"{app.name}:{version}"}, "a push leaves no name behind"

    # The tag is moved to another image.
    docker = ["docker", "--config", str(tmp_path / "login")]
    subprocess.run([*docker, "tag", f"{app.name}:v2", f"{secured}/{app.name}:v1"], check=True)
    subprocess.run([*docker, "push", "-q", f"{secured}/{app.name}:v1"], check=True, capture_output=True)
    subprocess.run([*docker, "rmi", f"{secured}/{app.name}:v1"], check=True, capture_output=True)

    lose(app, "v1")
    way_back = app.json("status")["previous"]["rollback"]
    assert (way_back["mode"], way_back["containers_kept"]) == ("pull", False)
    assert way_back["seconds"] is None, "no version has been pulled yet"
    assert planned(app, "rollback")[:4] == ("pull", "unshield", "vacate", "create")
    with Load(app.port, clients=4) as load:
        done = app.run("rollback")
    assert f"v1 was pulled from {secured}/{app.name} in " in done.stderr
    assert load.failures() == []
    assert load.order() == ["v2", "v1"]
    assert app.serving() == "v1"
    assert app.json("show", "v1")["image_id"] == v1["image_id"]
    assert names(app, "v1") == {f"{app.name}:v1"}
    assert app.json("verify", code=None)["problems"] == []

    # A release pulls again what the retention has removed.
    lose(app, "v2")
    app.write("v2")  # whose own weights are still in the folder
    assert planned(app, "release", "v2")[:2] == ("pull", "vacate")
    app.run("release", "v2")
    assert app.serving() == "v2"
    app.config["retention"]["versions"] = 2
    assert "retention removed v1" in release(app, "v3")
    assert not there(app, "v1")
    app.run("rollback", "--to", "v1")
    assert app.serving() == "v1"
    assert foreign(app, secured) == []


def test_who_may_not_push_is_told_what_to_do(
    make: Callable[[str], App], secured: str, storage: Path, tmp_path: Path
) -> None:
    app = make(secured)
    login = tmp_path / "login"
    log_in(login, secured)
    release(app, "v1")

    def refused(version: str) -> str:
        text = release(app, version, code=3)
        assert app.serving() == "v1"
        assert app.json("status")["state"] == "stable"
        assert len(app.containers()) == 1
        assert foreign(app, secured) == []
        assert f"{secured}/{app.name}:{version} could not be pushed" in text
        return text

    def doctor() -> dict[str, str]:
        checks = app.json("doctor", code=None)["checks"]
        return next(check for check in checks if check["name"] == "registry")

    assert doctor()["ok"]
    log_in(login, secured, "another password")
    assert f"next: docker login {secured}, " in refused("v2")
    assert f"docker login {secured}, " in doctor()["next"]
    (login / "config.json").unlink()
    assert f"next: docker login {secured}, " in refused("v2")
    log_in(login, secured)
    ca = Path(f"/etc/docker/certs.d/{secured}/ca.crt")
    kept = ca.rename(tmp_path / "ca.crt")
    try:
        text = refused("v2")
        assert "x509: certificate signed by unknown authority" in text
        assert f"put the CA's certificate into /etc/docker/certs.d/{secured}/ca.crt" in text
        assert "certs.d" in doctor()["next"]
    finally:
        ca.write_bytes(kept.read_bytes())

    # A credential helper instead of the password in a file.
    program = tmp_path / "bin" / "docker-credential-tests"
    program.parent.mkdir()
    answer = json.dumps({"ServerURL": secured, "Username": USER, "Secret": PASSWORD})
    program.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")
    program.chmod(0o755)
    (login / "config.json").write_text(json.dumps({"credHelpers": {secured: "tests"}}))
    write(app, "v2")
    app.run("release", "v2", env={"PATH": f"{program.parent}:{os.environ['PATH']}"})
    assert app.serving() == "v2"
    assert app.json("show", "v2")["pushed"]
    assert PASSWORD not in json.dumps(app.rows("SELECT * FROM versions"), default=str)


def test_a_push_that_breaks_off_is_tried_again(make: Callable[[str], App], way: Way) -> None:
    app = make(way.host)
    release(app, "v1")
    for version, where in (("v2", in_a_layer), ("v3", at_the_manifest)):
        way.cuts = 0

        def once(request: bytes, count: int, where: Callable[[bytes, int], bool] = where) -> bool:
            return way.cuts == 0 and where(request, count)

        way.broken = once
        release(app, version)
        assert way.cuts == 1
        assert app.serving() == version
        assert app.json("show", version)["pushed"]


def test_a_push_that_breaks_off_every_time_changes_nothing(make: Callable[[str], App], way: Way) -> None:
    app = make(way.host)
    release(app, "v1")
    before = app.containers()
    way.broken = in_a_layer
    write(app, "v2")
    with Load(app.port, clients=2) as load:
        done = app.run("release", "v2", code=3, env={"DEPLOYCTL_REGISTRY_TIMEOUT": "3"})
    # An engine retries; with the containerd image store it fails at once.
    stuck, refused = (
        f"why: the registry {way.host} made no progress for 3 s",
        f"next: check that the registry {way.host} runs",
    )
    assert (refused if in_containerd() else stuck) in done.stderr
    assert load.failures() == []
    assert way.cuts > 0
    assert app.serving() == "v1"
    assert app.containers() == before
    assert foreign(app, way.host) == []
    last = app.json("history")["deployments"][0]
    assert (last["outcome"], last["steps"][1]["name"], last["steps"][1]["state"]) == ("failed", "push", "failed")
    again = app.json("recover")
    assert (again["deployment"], again["repaired"]) == (None, [])
    assert app.json("show", "v2")["pushed"] is None

    way.heal()
    app.run("release", "v2")
    assert app.serving() == "v2"

    # The registry is down: a version that was never committed cannot be restored, and the live version keeps serving.
    lose(app, "v1")
    way.broken = everywhere
    done = app.run("rollback", code=3)
    assert "v1 cannot be restored" in done.stderr
    assert f"next: check that the registry {way.host} runs and that the engine can reach it" in done.stderr
    assert "it cannot be rebuilt: it was built from files outside of Git" in done.stderr
    assert app.serving() == "v2"


def test_a_pull_that_fails_gives_way_to_the_commit(make: Callable[[str], App], way: Way, storage: Path) -> None:
    app = make(way.host)

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Somebody", "-c", "user.email=some@body.example"]
        subprocess.run(["git", "-C", str(app.folder), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    for version in ("v1", "v2"):
        write(app, version)
        git("add", "-A")
        git("commit", "-q", "-m", version)
        app.run("release", version)
    lose(app, "v1")
    digest = app.json("show", "v1")["pushed"].split("@sha256:")[1]
    repository = storage / "images/docker/registry/v2/repositories" / app.name
    revision = repository / "_manifests/revisions/sha256" / digest
    (revision / "link").unlink()
    done = app.run("rollback")
    why = "failed to resolve reference" if in_containerd() else "manifest"
    assert f"could not be pulled: {why}" in done.stderr
    assert "it is rebuilt from commit" in done.stderr
    assert app.serving() == "v1"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_in_the_middle_of_a_push(make: Callable[[str], App], way: Way, how: signal.Signals) -> None:
    app = make(way.host)
    release(app, "v1")
    write(app, "v2")
    way.stalled = in_a_layer
    process = app.start("release", "v2")
    try:
        until(lambda: way.stalls, "the push has begun")
        assert foreign(app, way.host) == [f"{way.host}/{app.name}:v2"]
        process.send_signal(how)
        _, said = process.communicate(timeout=15)
    finally:
        process.kill()
    way.heal()
    if how == signal.SIGINT:
        assert process.returncode == 130, said
    else:
        assert app.json("recover")["direction"] == "undo"
    assert foreign(app, way.host) == []
    assert app.serving() == "v1"
    assert app.json("history")["deployments"][0]["outcome"] == "undone"
    again = app.json("recover")
    assert (again["deployment"], again["repaired"]) == (None, [])
    app.run("release", "v2")
    assert app.serving() == "v2"


def killed(app: App, crash: str, command: list[str], serves: str) -> None:
    """Kills a command before its switch: the next one undoes it, and no request is lost."""
    with Load(app.port, clients=2) as load:
        app.run(*command, code=-signal.SIGKILL, crash=crash)
        assert app.json("recover")["direction"] == "undo"
    assert load.failures() == [], crash
    assert load.order() == [serves]
    at_rest(app, serves)
    assert app.json("history")["deployments"][0]["outcome"] == "undone"


def test_killed_at_a_push(make: Callable[[str], App], way: Way) -> None:
    app = make(way.host)
    release(app, "v1")
    write(app, "v2")
    assert planned(app, "release", "v2")[:2] == ("build", "push")
    for when in AT_A_PUSH:
        killed(app, f"{when}:push", ["release", "v2"], "v1")
        assert foreign(app, way.host) == []
    app.run("release", "v2")
    assert app.json("show", "v2")["pushed"]


def test_killed_at_a_pull(make: Callable[[str], App], way: Way) -> None:
    app = make(way.host)
    release(app, "v1")
    release(app, "v2")
    for when in AT_A_PULL:
        lose(app, "v1")
        killed(app, f"{when}:pull", ["rollback"], "v2")
        assert foreign(app, way.host) == []
        assert there(app, "v1") == (when != "before")
    app.run("rollback")
    assert app.serving() == "v1"
    assert names(app, "v1") == {f"{app.name}:v1"}


@pytest.fixture
def ci(tmp_path: Path, way: Way) -> Iterator[CI]:
    made = CI(tmp_path / "ci", way.host)
    yield made
    made.clean()


@pytest.fixture
def bare(tmp_path: Path, ci: CI) -> Iterator[App]:
    """An app that consists of a deploy.toml only."""
    made = App(tmp_path / "bare", tmp_path / "state", name=ci.name)
    for path in made.folder.iterdir():
        path.unlink()
    made.write_config()
    yield made
    made.clean()
    for tag in [tag for image in engine().images.list(name=made.name) for tag in image.tags]:
        engine().images.remove(tag, force=True)


def test_an_image_that_ci_has_built_is_released(bare: App, ci: CI) -> None:
    app = bare
    one = ci.push("v1", "1")
    assert planned(app, "release", "--image", one)[:2] == ("adopt", "vacate")
    assert engine().images.list(name=ci.repository) == [], "the plan pulls nothing"
    app.run("release", "--image", one)
    assert app.serving() == "v1"
    assert names(app, "v1") == {f"{app.name}:v1"}, "the pull leaves no name behind"
    v1 = app.json("show", "v1")
    assert v1["pushed"].startswith(f"{ci.repository}@sha256:")
    assert v1["from_image"] == f"{one}@{v1['pushed'].partition('@')[2]}"
    assert v1["git_commit"] is None

    # The tag moves, and nothing changes; what is unknown changes nothing either.
    ci.push("v2", "1")
    assert app.serving() == "v1"
    refused = app.run("release", "--image", f"{ci.repository}:9", code=2)
    assert f"there is no image {ci.repository}:9" in refused.stderr
    assert "--ref" in app.run("release", "--image", one, "--ref", "HEAD", code=2).stderr
    assert len(app.json("history")["deployments"]) == 1

    with Load(app.port, clients=4) as load:
        done = app.run("release", "--image", one)
        assert app.serving() == "v2"
        assert "layers shared" in done.stderr
        # Without its image, v1 comes back from the registry, by the digest that it had.
        lose(app, "v1")
        assert app.json("status")["previous"]["rollback"]["mode"] == "pull"
        assert planned(app, "rollback")[:3] == ("pull", "unshield", "vacate")
        app.run("rollback")
    assert load.failures() == []
    assert load.order() == ["v1", "v2", "v1"]
    assert app.json("show", "v1")["image_id"] == v1["image_id"]
    assert app.json("verify", code=None)["problems"] == []
    rows = app.json("history")["deployments"]
    assert [row["from_image"] == v1["from_image"] for row in rows] == [True, False, True]
    diff = app.json("diff", "v1", "v2")
    assert diff["image"]["shared_layers"] > 0
    assert {file["change"] for file in diff["files"]} == {"changed"}
    assert all(file["path"].startswith("image/layer-") for file in diff["files"])


def test_an_image_on_the_engine_is_released(bare: App, ci: CI) -> None:
    app = bare
    here = ci.build("v1", f"{ci.name}-ci:1")
    foreign = ci.foreign(f"{ci.repository}:foreign")
    # A model folder and a secret beside deploy.toml belong to the version, and to no build.
    (app.folder / "weights").mkdir()
    (app.folder / "weights" / "w").write_text("weights")
    (app.folder / "token").write_text("a long secret")
    app.config["model"] = {"path": "weights"}
    app.config["run"]["secrets"] = {"token": "file:token"}
    app.write_config()
    app.run("config", "check")
    for there in ("on the engine", "in the registry"):
        if there == "in the registry":
            subprocess.run(["docker", "push", "-q", foreign], check=True, capture_output=True)
            subprocess.run(["docker", "rmi", foreign], check=True, capture_output=True)
        done = app.run("release", "--image", foreign, code=2)
        assert "is for linux/s390x, and this engine runs linux/" in done.stderr
    app.run("release", "--image", here)
    assert app.serving() == "v1"
    shown = app.json("show", "v1")
    assert (shown["from_image"], shown["pushed"]) == (here, None)
    assert "model/w" in shown["files"]["paths"]
    assert app.json("release", "--image", here)["outcome"] == "nothing to do"
    assert "v2 would be the same as v1" in app.run("release", "v2", "--image", here, code=2).stderr
    app.container("v1").remove(force=True)
    app.run("recover")
    assert app.serving() == "v1"
    assert app.json("verify", code=None)["problems"] == []
    app.run("remove", app.name, "--force")
    assert set(engine().images.get(here).tags) == {here}, "the image of CI stays"
