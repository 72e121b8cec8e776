"""The environment of the demo: its own folder, app, port and names; and functions to run deployctl in it.

Everything that the demo creates on the engine has the label of its state folder, by which it is removed.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker import DockerClient

SAMPLE = Path(__file__).resolve().parents[1] / "compose" / "sample-model"
DEPLOYCTL = Path(sys.executable).parent / "deployctl"
APP = "digits-demo"
LAYER = "deployctl-demo-layer:python3"
BASE = "DEPLOYCTL_BASE_IMAGE"
BROKEN = "v3"
BROKEN_DEADLINE = "5s"  # its time to become healthy; the other versions use that of the sample
COMMAND_LIMIT = 300.0
SETTLE_SECONDS = 20.0  # time for an interrupted deployctl to end
QUIET_SECONDS = 5.0  # maximum time without output


class DemoError(Exception):
    """The demo cannot continue."""


def say(text: str = "") -> None:
    print(text, flush=True)


@dataclass(frozen=True)
class Stage:
    """The environment of the demo. Everything on the engine has the id of the state folder as a label."""

    folder: Path
    app: str
    port: int

    @property
    def model(self) -> Path:
        return self.folder / "sample-model"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of deployctl: without the settings of the user, except the base image."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DEPLOYCTL_") or key == BASE}
        return {**kept, "DEPLOYCTL_STATE_DIR": str(self.state)}

    def configure(self, version: str) -> None:
        """Writes the deploy.toml of the sample with the changes for a version of this demo."""
        text = (SAMPLE / "deploy.toml").read_text()
        edits = [
            (r'(?m)^(name\s*=\s*)"[^"]*"', self.app),
            (r'(?m)^(path\s*=\s*)"v[^"]*"', version),
            (r'(?m)^(listen\s*=\s*)"[^"]*"', f"127.0.0.1:{self.port}"),
        ]
        if version == BROKEN:
            edits.append((r'(?m)^(deadline\s*=\s*)"[^"]*"', BROKEN_DEADLINE))
        for pattern, value in edits:
            text, count = re.subn(pattern, rf'\g<1>"{value}"', text)
            if count != 1:
                raise DemoError(f"compose/sample-model/deploy.toml has no line like {pattern}")
        (self.model / "deploy.toml").write_text(text)


def state_label(folder: Path) -> str:
    from orchestrator.domain.naming import LABEL_STATE, Names

    return f"{LABEL_STATE}={Names.of(str((folder / 'state').resolve())).state_id}"


def engine() -> DockerClient:
    import docker
    import docker.errors

    try:
        return docker.DockerClient.from_env(version="auto", timeout=60)
    except docker.errors.DockerException as error:
        raise DemoError(f"the Docker engine does not answer: {error}") from error


def set_stage(client: DockerClient, folder: Path) -> Stage:
    """Fills the folder. The app is digits-demo, or digits-demo-2 … while another demo exists."""
    shutil.copytree(SAMPLE, folder / "sample-model", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "state").mkdir(mode=0o700)
    taken = {tag.partition(":")[0] for image in client.api.images() for tag in image["RepoTags"] or []}
    app, number = APP, 1
    while app in taken:
        number += 1
        app = f"{APP}-{number}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return Stage(folder, app, port)


def clear(client: DockerClient, folder: Path) -> None:
    """Removes everything with the label of the folder, and the folder. May be repeated."""
    import docker.errors

    chosen: dict[str, str | list[str] | bool] = {"label": state_label(folder)}
    with suppress(docker.errors.NotFound):
        for container in client.containers.list(all=True, filters=chosen, ignore_removed=True):
            with suppress(docker.errors.NotFound):
                container.remove(force=True)
    for network in client.networks.list(filters=chosen):
        with suppress(docker.errors.NotFound):
            network.remove()
    # The parent of another image is removed together with it, or in the next round.
    for _ in range(5):
        images = client.images.list(filters=chosen)
        for image in images:
            with suppress(docker.errors.NotFound, docker.errors.APIError):
                client.images.remove(str(image.id), force=True)
        if not images:
            break
    shutil.rmtree(folder, ignore_errors=True)


def keep_layer(client: DockerClient, image: str) -> None:
    """Tags the first layer of the image (Debian with Python), so that the next demo can reuse it."""
    import docker.errors

    with suppress(docker.errors.NotFound):
        base = client.images.get(os.environ.get("BASE_TAG", "deployctl-base:bookworm")).id
        layer = client.images.get(image)
        while layer.attrs["Parent"]:
            if layer.attrs["Parent"] == base:
                layer.tag(LAYER)
                return
            layer = client.images.get(layer.attrs["Parent"])


# Running deployctl


def deployctl(stage: Stage, *arguments: str) -> int:
    """Runs a command and shows its output, shortened; returns its exit code."""
    say(f"    $ deployctl {' '.join(arguments)}")
    process = subprocess.Popen(
        [DEPLOYCTL, *arguments],
        cwd=stage.model,
        env=stage.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C of the terminal reaches only this process, which forwards it once
    )
    try:
        output_lines = listen(process, time.monotonic() + COMMAND_LIMIT)
        code = process.wait(SETTLE_SECONDS)
    finally:
        settle(process)
    if code not in (0, 3):
        say("\n".join(f"    | {line}" for line in output_lines[-25:]))
    return code


def listen(process: subprocess.Popen[str], deadline: float) -> list[str]:
    """Shows the important lines, and progress if there are none for a while; returns all lines."""
    lines: queue.Queue[str | None] = queue.Queue()
    output = process.stdout
    assert output is not None

    def read() -> None:
        for line in output:
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    output_lines: list[str] = []
    is_error = False
    began = shown = time.monotonic()
    while True:
        with suppress(queue.Empty):
            line = lines.get(timeout=0.5)
            if line is None:
                return output_lines
            output_lines.append(line)
            is_error = is_error or line.startswith("error:")
            if is_error or not line.startswith(" "):
                say(f"    {line}")
                shown = time.monotonic()
        now = time.monotonic()
        if now > deadline:
            raise DemoError(f"deployctl did not end within {COMMAND_LIMIT:.0f} s")
        if now - shown > QUIET_SECONDS:
            last = output_lines[-1].strip() if output_lines else ""
            say(f"      … {now - began:.0f} s: {last[:90]}")
            shown = now


def settle(process: subprocess.Popen[str]) -> None:
    """Interrupts a command, which then undoes its changes, and kills it if it does not end."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SETTLE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def live_version(stage: Stage) -> str:
    """The live version in `status --json`."""
    done = subprocess.run(
        [DEPLOYCTL, "status", "--json"],
        cwd=stage.model,
        env=stage.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"deployctl status ended with {done.returncode}: {done.stderr.strip()}")
    live = json.loads(done.stdout)["live"]
    return str(live["version"]) if live else "none"
