"""run.secrets on a real engine: the files in containers, the places that must not contain a value, and the copies."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.harness import App, Load, until


def token() -> str:
    """A unique value."""
    return f"s3cret-{secrets.token_hex(12)}"


def read(app: App, version: str, name: str, index: int = 1) -> bytes:
    """The content of a file in /run/secrets for the user of a container."""
    done = app.container(version, index).exec_run(["base64", "-w0", f"/run/secrets/{name}"])
    assert done.exit_code == 0, done.output
    return base64.b64decode(done.output)


def copies(app: App) -> dict[str, list[int]]:
    """The deployments of each version that have a copy of their secrets."""
    root = app.state_dir / "secrets" / app.name
    found: dict[str, list[int]] = {}
    for path in root.glob("*/*"):
        found.setdefault(path.parent.name, []).append(int(path.name))
    return {name: sorted(numbers) for name, numbers in found.items()}


def everything_told(app: App) -> list[str | bytes]:
    """All data about an app in the engine, the state folder and the output of commands, except the copies."""
    client = app.place.client()
    told: list[str | bytes] = []
    for container in app.engine_containers():
        told += [json.dumps(client.api.inspect_container(container.id)), container.logs()]
    for image in {container.image.id for container in app.engine_containers()}:
        told += [json.dumps(client.api.inspect_image(image)), json.dumps(client.api.history(image))]
    for path in app.state_dir.rglob("*"):
        told.append(str(path))
        if path.is_file() and (app.state_dir / "secrets") not in path.parents:
            told.append(path.read_bytes())
    for command in (
        ["status", "--json"],
        ["history", "--json"],
        ["tree", "--json"],
        ["show", "v1", "--json"],
        ["diff", "v1", "v2", "--json"],
        ["verify", "--json"],
        ["doctor", "--json"],
        ["logs", "v1"],
        ["watchdog", "run", "--json"],
        ["recover", "--json"],
    ):
        done = app.run(*command, code=None)
        told += [done.stdout, done.stderr]
    return told


def refuse(told: list[str | bytes], *values: str | bytes) -> None:
    """Checks that no text contains one of the values, as plain text or in base64."""
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        for form in (raw, base64.b64encode(raw)[:20]):
            for text in told:
                assert form not in (text.encode(errors="surrogateescape") if isinstance(text, str) else text)


def test_a_container_reads_the_very_bytes_and_nothing_else_tells_them(app: App) -> None:
    password = b"\x00\xff\r\n" + token().encode() + b"\n"
    variable = {"MODEL_TOKEN": token()}
    (app.folder / "keys").mkdir()
    (app.folder / "keys" / "db").write_bytes(password)
    with (app.folder / "Dockerfile").open("a") as file:
        file.write("COPY . /all/\n")
    app.config["run"] |= {"replicas": 2, "user": "1234:1234", "read_only": True}
    app.config["run"]["secrets"] = {"hf_token": "env:MODEL_TOKEN", "db-password": "file:keys/db"}
    app.write_config()
    # Without the variable, or with the file in the image, nothing changes.
    done = app.run("release", "v1", code=3)
    assert "run.secrets.hf_token: the variable MODEL_TOKEN is not set" in done.stderr
    done = app.run("release", "v1", code=2, env=variable)
    assert "is in the build context, and would become part of the image" in done.stderr
    assert app.left_over() == []
    (app.folder / ".dockerignore").write_text("keys\n")
    done = app.run("release", "v1", env=variable)
    told: list[str | bytes] = [done.stdout, done.stderr]

    for index in (1, 2):
        container = app.container("v1", index)
        assert read(app, "v1", "hf_token", index) == variable["MODEL_TOKEN"].encode()
        assert read(app, "v1", "db-password", index) == password
        assert container.exec_run(["id", "-u"]).output == b"1234\n"
        assert container.exec_run(["ls", "/run/secrets"]).output == b"db-password\nhf_token\n"
        for path in ("/run/secrets/hf_token", "/run/secrets/new", "/elsewhere"):
            assert b"Read-only file system" in container.exec_run(["sh", "-c", f"echo x > {path}"]).output
        [mount] = container.attrs["Mounts"]
        assert (mount["Destination"], mount["RW"]) == ("/run/secrets", False)
        # Neither in the image nor in the environment of the processes.
        assert container.exec_run(["grep", "-rlaF", password[4:-1].decode(), "/all", "/app"]).output == b""
        refuse([container.exec_run(["env"]).output], variable["MODEL_TOKEN"], password[4:-1])
    for folder in (app.state_dir / "secrets", app.state_dir / "secrets" / app.name):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    # A failed release whose model prints the secret.
    app.write("v2")
    app.config["run"]["command"] = ["sh", "-c", "cat /run/secrets/*; echo it fails; exit 3"]
    app.write_config()
    done = app.run("release", "v2", code=3, env=variable)
    assert "it fails" in done.stderr
    assert "***" in done.stderr
    told += [done.stdout, done.stderr]
    log = app.run("logs", "v2", code=None)
    told += [log.stdout, log.stderr]
    assert app.serving() == "v1"
    assert copies(app) == {"v1": [1]}
    del app.config["run"]["command"]
    app.write_config()
    told += everything_told(app)
    assert sum(map(len, told)) > 100_000
    refuse(told, variable["MODEL_TOKEN"], password, password[4:-1])


# The server starts only if its token is valid.
PICKY = ["sh", "-c", "grep -q good /run/secrets/token && exec python3 -u /app/server.py"]


@pytest.fixture
def picky(app: App) -> App:
    app.config["run"] |= {"command": PICKY, "secrets": {"token": "file:../token"}}
    rotate(app, "good 1")
    app.release("v1")
    return app


def rotate(app: App, value: str) -> Path:
    path = app.folder.parent / "token"
    path.write_text(value)
    return path


def killed(app: App, version: str) -> None:
    """Kills the process of a container, which the engine then restarts."""
    before = app.container(version)
    os.kill(before.attrs["State"]["Pid"], signal.SIGKILL)
    until(lambda: app.container(version).attrs["RestartCount"] > before.attrs["RestartCount"], "it is started again")
    until(lambda: app.container(version).status == "running", "it runs")


def test_a_rotated_secret_is_a_changed_configuration(picky: App) -> None:
    app = picky
    assert app.json("plan", "release", "v1")["changes"] is False
    rotate(app, "good 2")
    assert app.json("plan", "release", "v1")["changes"] is True
    with Load(app.port, clients=4) as load:
        app.run("release", "v1")
        assert read(app, "v1", "token") == b"good 2"
        assert "nothing to do" in app.run("release", "v1").stderr
        # A value with which the model does not start does not affect the live containers, not even when they restart.
        rotate(app, "bad")
        app.run("release", "v1", code=3)
    assert load.failures() == []
    assert list(app.containers()) == [app.container("v1").name]
    assert copies(app) == {"v1": [2]}
    killed(app, "v1")
    assert read(app, "v1", "token") == b"good 2"
    until(lambda: app.get("/healthz")[0] == 200, "it serves")
    # A removed container is recreated with the rotated value; this value is unusable, and that is reported.
    app.container("v1").remove(force=True)
    app.run("recover", code=None)
    rotate(app, "good 3")
    app.container("v1").remove(force=True)
    app.run("recover")
    assert read(app, "v1", "token") == b"good 3"


def test_a_rollback_has_the_values_that_it_needs(picky: App) -> None:
    app = picky
    app.release("v2")
    source = rotate(app, "good 2")
    source.unlink()
    # Warm and cold: the containers keep their values.
    app.run("rollback")
    assert app.serving() == "v1"
    assert read(app, "v1", "token") == b"good 1"
    rotate(app, "good 2")
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v3")
    app.run("rollback")
    assert read(app, "v1", "token") == b"good 1"
    # New containers: the rotated value has precedence, then the copy.
    for without in (False, True):
        rotate(app, "good 2")
        app.run("release", "v3")
        app.container("v1").remove(force=True)
        if without:
            source.unlink()
        app.run("rollback")
        assert read(app, "v1", "token") == b"good 2"
    # Neither source nor copy: nothing changes.
    app.container("v3").remove(force=True)
    shutil.rmtree(app.state_dir / "secrets" / app.name / "v3")
    done = app.run("rollback", "--to", "v3", code=3)
    assert f"run.secrets.token: there is no file {source}, and no copy of it is kept with v3" in done.stderr
    assert app.serving() == "v1"
    # The copy of a kept container was removed: an error, and the live version keeps serving.
    rotate(app, "good 2")
    app.release("v4")
    shutil.rmtree(app.state_dir / "secrets" / app.name / "v1")
    done = app.run("rollback", code=3)
    assert "the copy of its secrets was removed" in done.stderr
    assert app.serving() == "v4"
    # Copies are removed with their version.
    assert sorted(copies(app)) == ["v2", "v4"]
    app.run("prune", "--keep", "2")
    assert sorted(copies(app)) == ["v4"]


CRASHES = ("before:engine.create", "acted:engine.create", "acted:create")


def test_a_command_that_is_killed_leaves_no_copy_that_nothing_accounts_for(make_app: Callable[..., App]) -> None:
    app = make_app()
    app.config["run"]["secrets"] = {"token": "file:../token"}
    rotate(app, token())
    app.write_config()
    app.run("release", "v1", code=-signal.SIGKILL, crash="acted:create")
    assert copies(app) == {"v1": [1]}
    app.run("recover")
    assert app.left_over() == []
    assert not (app.state_dir / "secrets").exists()
    app.run("release", "v1")
    before = copies(app)
    app.write("v2")
    for crash in CRASHES:
        app.run("release", "v2", code=-signal.SIGKILL, crash=crash)
        app.run("recover")
        assert copies(app) == before, crash
        assert not [name for name in app.left_over() if name.endswith((".tmp", ".new"))]
        assert app.serving() == "v1"
    app.run("release", "v2", code=-signal.SIGKILL, crash="acted:switch")
    app.run("recover")
    assert app.serving() == "v2"
    assert sorted(copies(app)) == ["v1", "v2"]


def test_a_variable_is_in_the_process_and_nothing_else_tells_it(app: App) -> None:
    value = f"it's {token()}"
    app.config["run"] |= {
        "replicas": 2,
        "user": "1234:1234",
        "read_only": True,
        "secret_env": {"HF_TOKEN": "env:MODEL_TOKEN", "DB": "file:../db"},
        "command": ["sh", "-c", 'printf %s "$HF_TOKEN" | sha256sum >&2; exec python3 -u /app/server.py'],
    }
    (app.folder.parent / "db").write_text("of the database\n")
    app.write_config()
    assert "run.secret_env.HF_TOKEN: the variable MODEL_TOKEN is not set" in app.run("release", "v1", code=3).stderr
    done = app.run("release", "v1", env={"MODEL_TOKEN": value})
    told: list[str | bytes] = [done.stdout, done.stderr, *everything_told(app)]
    for index in (1, 2):
        container = app.container("v1", index)
        told.append(json.dumps(container.attrs))
        digest = hashlib.sha256(value.encode()).hexdigest()
        assert digest in container.logs().decode()
        # The server itself is what the init process runs, with the signals that it gets.
        top = [" ".join(row) for row in container.top()["Processes"]]
        assert any("/app/server.py" in row for row in top)
        assert not any("exec" in row for row in top if "docker-init" not in row), top
    refuse(told, value, value[5:])
    # After a restart by the engine they are there as well; a rotated one is a changed configuration.
    killed(app, "v1")
    until(lambda: app.container("v1").logs().decode().count(" -") == 2, "it has the variable again")
    for current, changes in ((value, False), (token(), True)):
        done = app.run("plan", "release", "v1", "--json", env={"MODEL_TOKEN": current})
        assert json.loads(done.stdout)["changes"] is changes
    app.write("v2")
    app.run("release", "v2", env={"MODEL_TOKEN": value})
    app.run("rollback")
    assert app.serving() == "v1"


@pytest.mark.parametrize(
    "image", ['ENTRYPOINT ["python3", "-u"]\nCMD ["/app/server.py"]', "CMD python3 -u /app/server.py"]
)
def test_a_variable_and_the_command_of_the_image(app: App, image: str) -> None:
    app.config["run"]["secret_env"] = {"MODEL_TOKEN": "env:MODEL_TOKEN"}
    app.write("v1")
    with (app.folder / "Dockerfile").open("a") as file:
        file.write(image + "\n")
    app.run("release", "v1", env={"MODEL_TOKEN": "found by the server"})
    container = app.container("v1")
    found = container.exec_run(["sh", "-c", "cat /proc/[0-9]*/environ"]).output.decode()
    assert "MODEL_TOKEN=found by the server" in found
    assert app.serving() == "v1"
