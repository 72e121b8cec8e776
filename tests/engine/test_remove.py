"""Removing an app while another one of the same state folder answers requests."""

from __future__ import annotations

import os
import pty
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable

from tests.engine.harness import App, Load, engine


def whole(app: App) -> None:
    """Two versions with a model folder and a secret; the first one is warm."""
    app.config["model"] = {"path": "weights", "mount": "/model"}
    app.config["run"]["secrets"] = {"token": "file:../token"}
    (app.folder / "weights").mkdir()
    (app.folder.parent / "token").write_text("something secret")
    for version in ("v1", "v2"):
        (app.folder / "weights" / "a").write_text(f"the weights of {app.name} {version}")
        app.release(version)


def left(app: App) -> list[str]:
    """What the engine and the state folder still have of an app."""
    found = [*app.containers()] if app.containers() else []
    found = [name for name in found if name.startswith(f"{app.name}-")]
    found += [tag for image in engine().images.list(name=app.name) for tag in image.tags]
    files = [path for path in app.state_dir.rglob("*") if app.name in path.name or path.suffix == ".tmp"]
    return found + [str(path.relative_to(app.state_dir)) for path in files if path.suffix != ".lock"]


def confirmed(app: App, answer: str) -> tuple[int, str]:
    """Runs `remove` on a terminal and types `answer`."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        app.command("remove", app.name), cwd=app.folder, env=app.environment(), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    output = b""
    while b"to remove it: " not in output:
        output += os.read(master, 1024)
    os.write(master, f"{answer}\n".encode())
    try:
        while data := os.read(master, 1024):
            output += data
    except OSError:
        pass  # the other side of the terminal is closed
    os.close(master)
    return process.wait(60), output.decode()


def test_an_app_is_removed_beside_another_one(make_app: Callable[..., App]) -> None:
    # Unique names: images are found by their tags, and other tests have apps of the usual name.
    name, beside = f"m{secrets.token_hex(4)}", f"n{secrets.token_hex(4)}"
    app, other = make_app(name), make_app(beside)
    other.release("v1")
    whole(app)
    head = app.json("list")["apps"]
    assert [row["app"] for row in head] == [name, beside]

    refused = app.run("remove", code=2)
    assert f"{name}:v1, {name}:v2" in refused.stderr
    assert f"deployctl remove {name} --force" in refused.stderr
    assert confirmed(app, "y")[0] == 2
    assert app.serving() == "v2"

    with Load(other.port, clients=4) as load:
        slow: list[tuple[int, object, str]] = []
        thread = threading.Thread(target=lambda: slow.append(app.get("/slow?seconds=2")))
        thread.start()
        done = app.run("remove", name, "--force", code=-signal.SIGKILL, crash="before:images")
        thread.join()
        assert slow[0][0] == 200, "an open request finishes"
        assert app.containers().keys() == other.containers().keys(), done.stderr
        assert other.json("status")["problems"] == []
        # The next command finishes it; a release then begins anew.
        (app.folder / "weights" / "a").write_text("something else")
        released = app.run("release", "v1")
        assert f"finishing the removal of {name}" in released.stderr
        assert app.serving() == "v2", "the source of v2, released as v1"
        assert [row["to"] for row in app.json("history")["deployments"]] == ["v1"]
        code, output = confirmed(app, name)
        assert code == 0, output
    assert load.failures() == []
    assert load.order() == ["v1"]
    assert left(app) == []
    assert [row["app"] for row in other.json("list")["apps"]] == [beside]
    for command in ("verify", "doctor"):
        report = other.json(command)
        assert report["ok"], report
    assert other.json("status")["state"] == "stable"
    assert b"something secret" not in b"".join(path.read_bytes() for path in app.state_dir.rglob("*.db*"))

    (other.folder / "deploy.toml").unlink()
    report = other.json("remove", beside, "--force")
    assert (report["proxy_removed"], report["live"], report["images"]) == (True, "v1", [f"{beside}:v1"])
    assert other.left_over() == []
    assert left(other) == []
