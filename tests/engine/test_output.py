"""Releases whose output goes nowhere: a closed pipe, a full disk, a lost terminal. They end as they would have."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time

import pytest

from tests.engine.harness import App

# Prints a line with a secret, and one later.
START = 'echo "loading with $(cat /run/secrets/token)"; sleep 2; echo loaded; exec python3 -u /app/server.py'


@pytest.fixture
def served(app: App) -> App:
    app.config["rollout"]["keep_warm"] = "0s"
    app.config["health"]["successes"] = 1
    app.release("v1")
    return app


def ended(app: App) -> tuple[str, str | None]:
    """The outcome of the last deployment, and the version that serves; fails if a deployment is open."""
    assert app.json("status")["deployment"] is None
    return app.json("history")["deployments"][0]["outcome"], app.serving()


@pytest.mark.parametrize("where", ["a closed pipe", "a full disk"])
@pytest.mark.parametrize("json", [False, True])
def test_a_release_whose_output_cannot_be_written(served: App, where: str, json: bool) -> None:
    if where == "a full disk":
        out = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, out = os.pipe()
        os.close(reader)
    arguments = ("--json",) if json else ()
    try:
        for version, mode, code, result in (("v2", "ok", 0, ("succeeded", "v2")), ("v3", "exit", 3, ("failed", "v2"))):
            served.write(version, mode)
            done = subprocess.run(
                served.command("release", version, *arguments),
                cwd=served.folder,
                env=served.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=120,
                check=False,
            )
            assert done.returncode == code
            assert ended(served) == result
    finally:
        os.close(out)


@pytest.mark.parametrize("line", ["Step 1", "create 1", "wait until"])
def test_a_terminal_that_is_lost_during_a_release(served: App, line: str) -> None:
    """SIGHUP, more than once, and from then on every write fails."""
    served.config["health"]["deadline"] = "60s"
    served.write("v2", "sick")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(served.folder)
        command = served.command("release", "v2")
        os.execvpe(command[0], command, {**served.environment(), "TERM": "xterm"})
    seen, limit = b"", time.monotonic() + 60
    while line.encode() not in seen and b"create 1" not in seen:
        assert time.monotonic() < limit, seen
        seen += os.read(terminal, 4096)
    while line.encode() not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    os.kill(child, signal.SIGHUP)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert ended(served) == ("undone", "v1")
    assert len(served.containers()) == 1


def test_waiting_for_the_standby_time_ends_at_the_first_signal(served: App) -> None:
    served.config["rollout"]["keep_warm"] = "10m"
    served.write("v2")
    process = served.start("release", "v2", "--wait")
    limit = time.monotonic() + 60
    assert process.stderr is not None
    for text in process.stderr:
        if "stays warm until" in text:
            break
        assert time.monotonic() < limit
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert "the deployment is complete, only the wait has ended" in message
    assert ended(served) == ("succeeded", "v2")


def test_watching_the_status_ends_quietly(served: App) -> None:
    for number, code in ((signal.SIGINT, 130), (None, 0)):
        process = served.start("status", "--watch")
        assert process.stdout is not None
        assert process.stdout.readline()
        if number is None:
            process.stdout.close()
            process.stdout = None
        else:
            process.send_signal(number)
        message = process.communicate(timeout=60)[1]
        assert (message, process.returncode) == ("", code)


def test_following_a_log_ends_quietly(served: App) -> None:
    for number, code in ((signal.SIGINT, 130), (None, 0)):
        process = served.start("logs", "--follow")
        assert process.stdout is not None
        assert process.stdout.readline()
        if number is None:
            process.stdout.close()
            process.stdout = None
            served.container("v1").restart(timeout=1)  # writes new lines
        else:
            process.send_signal(number)
        message = process.communicate(timeout=60)[1]
        assert (message, process.returncode) == ("", code)


def test_a_release_prints_what_its_containers_log(app: App) -> None:
    (app.folder / "token").write_text("the-secret-of-the-model")
    app.config["run"] |= {"secrets": {"token": "file:token"}, "command": ["sh", "-c", START]}
    app.write("v1")
    (app.folder / ".dockerignore").write_text("token\n")
    done = app.run("release", "v1", "--logs")
    [name] = app.containers()
    lines = done.stderr.splitlines()
    first, last = lines.index(f"  {name}: loading with ***"), lines.index(f"  {name}: loaded")
    assert first < last < next(number for number, line in enumerate(lines) if line.startswith("→ switch"))
    assert "loading" not in app.run("release", "v2", "--force").stderr
