"""Where the demo happens: a folder, an app, a port and names of its own; and deployctl, run in it.

Everything that the demo makes in the engine carries the label of its state folder, and goes by that label.
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
BROKEN_DEADLINE = "5s"  # how long it gets to become healthy; the others have the sample's own deadline
COMMAND_LIMIT = 300.0
SETTLE_SECONDS = 20.0  # an interrupted deployctl gets so long to come to its own end
QUIET_SECONDS = 5.0  # nobody waits longer than this for a sign of life


class DemoError(Exception):
    """The demo cannot go on."""


def say(text: str = "") -> None:
    print(text, flush=True)


@dataclass(frozen=True)
class Stage:
    """Where the demo happens. Everything in the engine carries the state folder's id as a label."""

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
        """What deployctl sees: none of the user's own settings but the base image."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DEPLOYCTL_") or key == BASE}
        return {**kept, "DEPLOYCTL_STATE_DIR": str(self.state)}

    def configure(self, version: str) -> None:
        """Writes deploy.toml for a version: the sample's own, with what this demo needs different."""
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
    """Fills the folder. The app is called digits-demo, or digits-demo-2 … when another demo still stands."""
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
    """Removes everything that carries the folder's label, and the folder. What is gone already is no error."""
    import docker.errors

    chosen: dict[str, str | list[str] | bool] = {"label": state_label(folder)}
    with suppress(docker.errors.NotFound):
        for container in client.containers.list(all=True, filters=chosen, ignore_removed=True):
            with suppress(docker.errors.NotFound):
                container.remove(force=True)
    for network in client.networks.list(filters=chosen):
        with suppress(docker.errors.NotFound):
            network.remove()
    # An image that is the parent of another one goes with it, or in the next round.
    for _ in range(5):
        images = client.images.list(filters=chosen)
        for image in images:
            with suppress(docker.errors.NotFound, docker.errors.APIError):
                client.images.remove(str(image.id), force=True)
        if not images:
            break
    shutil.rmtree(folder, ignore_errors=True)


def keep_layer(client: DockerClient, image: str) -> None:
    """Names the image's first own layer (Debian with Python), so that the next demo need not make it again."""
    import docker.errors

    with suppress(docker.errors.NotFound):
        base = client.images.get(os.environ.get("BASE_TAG", "deployctl-base:bookworm")).id
        layer = client.images.get(image)
        while layer.attrs["Parent"]:
            if layer.attrs["Parent"] == base:
                layer.tag(LAYER)
                return
            layer = client.images.get(layer.attrs["Parent"])


# deployctl, and what is shown of it


def deployctl(stage: Stage, *arguments: str) -> int:
    """Runs a command and shows what it says, shortened; returns its exit code."""
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
        start_new_session=True,  # a terminal's Ctrl-C reaches this process, which passes it on once
    )
    try:
        spoken = listen(process, time.monotonic() + COMMAND_LIMIT)
        code = process.wait(SETTLE_SECONDS)
    finally:
        settle(process)
    if code not in (0, 3):
        say("\n".join(f"    | {line}" for line in spoken[-25:]))
    return code


def listen(process: subprocess.Popen[str], deadline: float) -> list[str]:
    """Shows the lines as they come, and a sign of life when none is worth showing; returns all of them."""
    lines: queue.Queue[str | None] = queue.Queue()
    output = process.stdout
    assert output is not None

    def read() -> None:
        for line in output:
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    spoken: list[str] = []
    telling = False
    began = shown = time.monotonic()
    while True:
        with suppress(queue.Empty):
            line = lines.get(timeout=0.5)
            if line is None:
                return spoken
            spoken.append(line)
            telling = telling or line.startswith("error:")
            if telling or not line.startswith(" "):
                say(f"    {line}")
                shown = time.monotonic()
        now = time.monotonic()
        if now > deadline:
            raise DemoError(f"deployctl is not done after {COMMAND_LIMIT:.0f} s")
        if now - shown > QUIET_SECONDS:
            last = spoken[-1].strip() if spoken else ""
            say(f"      … {now - began:.0f} s: {last[:90]}")
            shown = now


def settle(process: subprocess.Popen[str]) -> None:
    """An interrupted command undoes what it began; one that does not come to its end is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(SETTLE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def live_version(stage: Stage) -> str:
    """What `status --json` says is live."""
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
