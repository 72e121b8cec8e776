"""A framework's folder, deployed with deployctl, and the clients that send requests to it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from orchestrator.config import load
from tests.engine.harness import App, Load, engine

HERE = Path(__file__).parent
# A build installs several hundred megabytes of packages.
BUILD_LIMIT = 900.0


@dataclass(frozen=True)
class Question:
    """A request, and how to find in its answer the number of the model that gave it."""

    path: str
    body: Any
    number: Callable[[str], float]
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def version(self, text: str) -> str:
        """The version that an answer comes from; an answer that is not understood is returned as it is."""
        with suppress(ValueError, LookupError, TypeError):
            return f"v{self.number(text):g}"
        return f"? {text[:500]}"

    def load(self, port: int, clients: int, kind: type[Load] = Load, **options: Any) -> Load:
        body = json.dumps(self.body).encode()
        return kind(port, clients, path=self.path, body=body, headers=self.headers, reader=self.version, **options)


class SlowLoad(Load):
    """Clients that send the two halves of a body seconds apart: a request of theirs is open at every switch."""

    seconds = 1.0

    def send(self, connection: http.client.HTTPConnection) -> None:
        connection.putrequest("POST", self.path, skip_host=True)
        for name, value in {**self.headers, "Content-Length": str(len(self.body))}.items():
            connection.putheader(name, value)
        half = len(self.body) // 2
        connection.endheaders(self.body[:half])
        time.sleep(self.seconds)
        connection.send(self.body[half:])


class Deployed(App):
    """A copy of a folder of tests/frameworks. Its deploy.toml is changed in three things: the name and the address are
    not those of another app on this machine, and builds get their packages from the cache.

    `trained_in_image`: make_model.py needs the framework, so it runs in the image.
    """

    def __init__(self, framework: str, folder: Path, state_dir: Path, index: str, *, trained_in_image: bool) -> None:
        self.framework, self.index = framework, index
        self.tools = f"deployctl-test-{framework}:{os.getpid()}" if trained_in_image else ""
        try:
            super().__init__(folder, state_dir, name=f"{framework}-{os.getpid()}")
        except BaseException:
            self.clean()
            raise

    def prepare(self) -> None:
        shutil.copytree(HERE / self.framework, self.folder, dirs_exist_ok=True)
        text = (self.folder / "deploy.toml").read_text()
        for old, new in (
            (f'\nname = "{self.framework}"\n', f'\nname = "{self.name}"\n'),
            ('\nlisten = "127.0.0.1:8000"\n', f'\nlisten = "127.0.0.1:{self.port}"\n'),
        ):
            assert text.count(old) == 1, (self.framework, old)
            text = text.replace(old, new)
        # The classic builder leaves no cache behind when the images are removed.
        build = f'builder = "classic"\nnetwork = "host"\nargs = {{ PIP_INDEX_URL = "{self.index}" }}\n'
        (self.folder / "deploy.toml").write_text(f"{text}\n[build]\n{build}")
        if self.tools:
            arguments = {"PIP_INDEX_URL": self.index}
            engine().images.build(
                path=str(self.folder), tag=self.tools, network_mode="host", buildargs=arguments, rm=True, forcerm=True
            )

    def write(self, version: str, mode: str = "ok") -> None:
        """Makes the model of a version."""
        command = ["make_model.py", version.removeprefix("v")]
        if self.tools:
            inside = ["-v", f"{self.folder}:/work", "-w", "/work", "-e", "HOME=/tmp", "--network=none"]
            user = f"--user={os.getuid()}:{os.getgid()}"
            command = ["docker", "run", "--rm", user, *inside, self.tools, "python", *command]
        else:
            command = [sys.executable, *command]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    def clean(self) -> None:
        super().clean()
        if self.tools:
            with suppress(docker.errors.ImageNotFound):
                engine().images.remove(self.tools, force=True)

    def post(self, path: str, body: Any) -> Any:
        """One request through the proxy; returns what the JSON of its answer says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def paths(self) -> list[str]:
        """The paths that say whether the model is ready, and whether the process lives."""
        config = load(self.folder / "deploy.toml")
        return [spec.path for spec in (config.probe_spec(), config.live_spec()) if spec]

    def seconds(self, step: str) -> list[float]:
        """How long a step took in each deployment, oldest first."""
        deployments = reversed(self.json("history")["deployments"])
        return [found["seconds"] for d in deployments for found in d["steps"] if found["name"] == step]
