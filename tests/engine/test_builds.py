"""Both builders: the engine's classic one, and BuildKit through buildx of the docker command."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from orchestrator.adapters.docker import build
from orchestrator.domain.version.build import BuildSpec
from tests.engine.harness import App, engine
from tests.engine.tools import missing
from tests.fakes.progress import FakeProgress

# scripts/setup puts the plugin here where the docker command has none.
OWN_PLUGINS = Path(__file__).parents[2] / ".venv" / "docker"


@pytest.fixture
def buildx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Provides buildx to the docker command in this process and its children."""
    if shutil.which("docker-buildx", path=OWN_PLUGINS / "cli-plugins"):
        monkeypatch.setenv("DOCKER_CONFIG", str(OWN_PLUGINS))
    done = subprocess.run(["docker", "buildx", "version"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        missing("docker buildx")


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """With a unique name: the tags of `mymodel` may belong to another test."""
    return make_app(f"built-{os.getpid()}")


def prepare(app: App, builder: str, more: str) -> None:
    app.config["build"] = {"builder": builder, "dockerfile": "own/Dockerfile"}
    (app.folder / "own").mkdir()
    text = (app.folder / "Dockerfile").read_text()
    (app.folder / "Dockerfile").unlink()
    (app.folder / "own" / "Dockerfile").write_text(text + more)
    app.write("v1")


def inside(app: App, version: str, folder: str) -> set[str]:
    """The files in a folder of a version's container."""
    container = app.container(version)
    return {Path(line).name for line in container.exec_run(["find", folder, "-type", "f"]).output.decode().split()}


def in_manifest(app: App, version: str) -> set[str]:
    return {Path(path).name for path in app.json("show", version)["files"]["paths"]}


@pytest.mark.parametrize("builder", ["classic", "buildkit", "auto"])
def test_the_manifest_lists_what_the_builder_got(app: App, buildx: None, builder: str) -> None:
    prepare(app, builder, "COPY . /context/\n")
    (app.folder / "own" / "Dockerfile.dockerignore").write_text("# comment\nnotes*\n!notes-kept\n**/*.tmp\n")
    (app.folder / ".dockerignore").write_text("kept\n")
    for name in ("kept", "notes", "notes-kept", "own/a.tmp", "own/b"):
        (app.folder / name).write_text(name)
    done = app.run("release", "v1")
    assert ("default" in done.stderr and "#1 " in done.stderr) is (builder != "classic")
    got = inside(app, "v1", "/context")
    assert {"kept", "notes-kept", "b"} <= got
    assert not {"notes", "a.tmp"} & got
    assert got == in_manifest(app, "v1")
    # Ignored files change nothing; files that only the general ignore file names do.
    (app.folder / "notes").write_text("changed")
    app.run("release", "v1")
    (app.folder / "kept").write_text("changed")
    assert "v1 has been live" in app.run("release", "v1", code=2).stderr


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_what_no_builder_gets(app: App, buildx: None, builder: str) -> None:
    """An ignored Dockerfile is read, and not copied; what deploy.toml names is left out whatever the exceptions say."""
    app.config["build"] = {"builder": builder}
    app.config["model"] = {"path": "weights"}
    app.config["run"] = {**app.config.get("run", {}), "volumes": ["./cache:/cache"]}
    for name in ("weights/w", "cache/c", ".git/config", "src/a/h.py", "Keys/k", "empty/.keep"):
        (app.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (app.folder / name).write_text(name)
    (app.folder / "empty" / ".keep").unlink()
    names = "keys\n!weights\n!cache/c\n!empty\n!**/.git"
    (app.folder / ".dockerignore").write_text(f"*\n!version\n!mode\n!**/*.py\n!{names}\n")
    with (app.folder / "Dockerfile").open("a") as file:
        file.write("COPY . /context/\n")
    app.write("v1")
    app.run("release", "v1")
    got = inside(app, "v1", "/context")
    assert got == in_manifest(app, "v1") - {"Dockerfile", "w"} == {"server.py", "h.py", "mode", "version"}
    assert app.container("v1").exec_run(["test", "-d", "/context/empty"]).exit_code == 0
    with (app.folder / "Dockerfile").open("a") as file:
        file.write("COPY weights/w /copied\n")
    done = app.run("release", "v2", code=3)
    assert "next: weights is model.path, which no build gets" in done.stderr


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_a_changed_file_of_the_same_size_and_time(app: App, buildx: None, builder: str) -> None:
    """Archives and copies that keep the times of files make such changes; BuildKit by itself does not see them."""
    app.config["build"] = {"builder": builder}
    with (app.folder / "Dockerfile").open("a") as file:
        file.write("COPY labels /labels\n")
    labels = app.folder / "labels"
    for version, text in (("v1", "cat"), ("v2", "dog")):
        labels.write_text(text)
        os.utime(labels, (1_700_000_000, 1_700_000_000))
        app.release(version)
        assert app.container(version).exec_run(["cat", "/labels"]).output.decode() == text


def test_files_of_the_same_size_and_time_in_folders_of_the_same_name(tmp_path: Path, buildx: None) -> None:
    tag = f"deployctl-test-{os.getpid()}:v1"
    for folder, text in (("one", "cat"), ("two", "dog")):
        context = tmp_path / folder / "app"
        context.mkdir(parents=True)
        (context / "Dockerfile").write_text(f"FROM scratch\nCOPY labels /\nLABEL text={text}\n")
        (context / "labels").write_text(text)
        os.utime(context / "labels", (1_700_000_000, 1_700_000_000))
        spec = BuildSpec(tag=tag, context=context, builder="buildkit")
        build.image(engine(), spec, FakeProgress())
        container = engine().containers.create(tag, "/labels")
        try:
            stream, _ = container.get_archive("/labels")
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                content = archive.extractfile("labels")
                assert content is not None
                assert content.read().decode() == text
        finally:
            container.remove()
            engine().images.remove(tag)


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_the_ids_are_those_of_the_engine(app: App, buildx: None, builder: str) -> None:
    app.config["build"] = {"builder": builder}
    app.release("v1")
    image = engine().images.get(f"{app.name}:v1")
    assert app.json("status")["live"]["image_id"] == image.id
    assert app.container("v1").attrs["Image"] == image.id
    assert image.labels["deployctl.version"] == "v1"
    app.run("verify")


def test_what_only_buildkit_understands(app: App, buildx: None) -> None:
    prepare(app, "classic", "RUN --mount=type=cache,target=/cache touch /cache/x /made\n")
    done = app.run("release", "v1", code=3)
    assert "next: this Dockerfile needs BuildKit: install docker-buildx-plugin" in done.stderr
    app.config["build"]["builder"] = "auto"
    app.release("v1")
    assert inside(app, "v1", "/made") == {"made"}


@pytest.mark.parametrize(
    "more", ["RUN <<EOT\necho hi > /made\nEOT\n", "COPY --chmod=755 server.py /app/s2.py\n"], ids=["heredoc", "chmod"]
)
def test_the_classic_builder_names_buildkit(app: App, more: str) -> None:
    prepare(app, "classic", more)
    done = app.run("release", "v1", code=3)
    assert f"error: the image {app.name}:v1 could not be built" in done.stderr
    assert "next: this Dockerfile needs BuildKit: install docker-buildx-plugin" in done.stderr
    assert 'build.builder = "auto"' in done.stderr


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_a_mistyped_instruction(app: App, buildx: None, builder: str) -> None:
    prepare(app, builder, "COPPY server.py /app/s2.py\n")
    done = app.run("release", "v1", code=3)
    assert f"error: the image {app.name}:v1 could not be built" in done.stderr
    assert "unknown instruction: COPPY" in done.stderr
    assert "there is no instruction COPPY (did you mean COPY?)" in done.stderr


def test_a_build_that_fails_in_buildkit(app: App, buildx: None) -> None:
    prepare(app, "buildkit", "RUN --mount=type=cache,target=/cache echo no such package >&2; exit 42\n")
    done = app.run("release", "v1", code=3)
    assert "could not be built" in done.stderr
    why = next(line for line in done.stderr.splitlines() if line.strip().startswith("why: "))
    assert "exit code: 42" in why
    assert "no such package" in done.stderr
    assert "next: fix the Dockerfile or the build context, then release again" in done.stderr
    assert app.left_over() == []


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_silent_build_is_stopped_at_once(
    app: App, buildx: None, builder: str, number: signal.Signals, code: int
) -> None:
    # Other tests' containers sleep as well: this one is known by how long.
    command = f"sleep 600.{os.getpid()}"
    prepare(app, builder, f"RUN echo it begins && {command}\n")
    process = app.start("release", "v1")
    assert process.stderr is not None
    while "it begins" not in (line := process.stderr.readline()) or "RUN" in line:
        assert line, "the build ended"
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == code, rest
    assert time.monotonic() - started < 5
    assert "Traceback" not in rest
    end = time.monotonic() + 20
    while command in subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout:
        assert time.monotonic() < end, "the build goes on"
        time.sleep(0.2)
    assert app.left_over() == []


def test_a_context_that_does_not_fit_on_the_disk(app: App, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    app.config["build"] = {"builder": "classic"}
    app.release("v1")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=True)
    try:
        app.write("v2")
        (app.folder / "weights").write_bytes(os.urandom(200_000))
        done = app.run("release", "v2", code=3, env={"TMPDIR": str(small)})
        assert "why: its context cannot be packed: No space left on device" in done.stderr
        assert str(small) in done.stderr
        assert list(small.iterdir()) == []
        assert app.serving() == "v1"
        app.run("release", "v2")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert app.serving() == "v2"


def test_a_build_has_its_secrets_and_nothing_keeps_them(app: App, buildx: None, tmp_path: Path) -> None:
    value = "build-token-" + os.urandom(8).hex()
    app.config["build"] = {"builder": "auto", "secrets": {"pip": "env:PIP_TOKEN", "netrc": "file:../netrc"}}
    (app.folder.parent / "netrc").write_bytes(b"\x00line\n")
    with (app.folder / "Dockerfile").open("a") as file:
        file.write(
            "RUN --mount=type=secret,id=pip,required=true --mount=type=secret,id=netrc "
            # Unique: a secret is not part of the key by which a builder finds its cached layers.
            f"echo {value[-8:]}; cat /run/secrets/pip; "
            "sha256sum < /run/secrets/pip > /pip; wc -c < /run/secrets/netrc > /netrc\n"
        )
    app.write("v1")
    done = app.run("release", "v1", code=3)
    assert "build.secrets.pip: the variable PIP_TOKEN is not set" in done.stderr
    assert app.left_over() == []
    done = app.run("release", "v1", env={"PIP_TOKEN": value})
    container = app.container("v1")
    assert container.exec_run(["cat", "/pip"]).output.decode().split()[0] == hashlib.sha256(value.encode()).hexdigest()
    assert container.exec_run(["cat", "/netrc"]).output == b"6\n"
    image = engine().images.get(f"{app.name}:v1")
    told = [done.stderr, done.stdout, json.dumps(image.attrs), json.dumps(image.history())]
    told += [app.run(*command).stdout for command in (["show", "v1", "--json"], ["history", "--json"])]
    assert not [text for text in told if value in text]
    assert "***" in done.stderr
    assert value.encode() not in b"".join(path.read_bytes() for path in app.state_dir.rglob("*") if path.is_file())
    # A rotated value is not another version; and what is not built needs none.
    app.run("release", "v1")
    app.config["build"]["builder"] = "classic"
    app.write("v2")
    done = app.run("release", "v2", code=2, env={"PIP_TOKEN": value})
    assert 'build.secrets: needs BuildKit (set build.builder = "auto" or "buildkit")' in done.stderr


def test_secrets_without_buildx(app: App, tmp_path: Path) -> None:
    empty = tmp_path / "no-plugins"
    empty.mkdir()
    app.config["build"] = {"secrets": {"pip": "env:PIP_TOKEN"}}
    app.write("v1")
    if subprocess.run(["docker", "buildx", "version"], env={"PATH": os.environ["PATH"]}, check=False).returncode == 0:
        pytest.skip("buildx is installed for everybody")
    done = app.run("release", "v1", code=2, env={"PIP_TOKEN": "x", "DOCKER_CONFIG": str(empty), "HOME": str(empty)})
    assert "build.secrets: only BuildKit can use them" in done.stderr
    assert "next: install docker-buildx-plugin" in done.stderr
    assert app.left_over() == []


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
def test_the_network_of_a_build(app: App, buildx: None, builder: Literal["classic", "buildkit"]) -> None:
    for network, alone in (("none", True), ("host", False), ("default", False)):
        again = f"ENV AGAIN={network}-{os.getpid()}\n"
        (app.folder / "Dockerfile").write_text(f"FROM deployctl-base:bookworm\n{again}RUN ls /sys/class/net > /nets\n")
        spec = BuildSpec(tag=f"{app.name}:v1", context=app.folder, builder=builder, network=network)  # type: ignore[arg-type]
        built = build.image(engine(), spec, FakeProgress())
        try:
            output = engine().containers.run(built, ["cat", "/nets"], network_mode="none", remove=True)
        finally:
            engine().images.remove(built, force=True)
        assert (output.decode().split() == ["lo"]) is alone, output
