"""A separate engine for tests, which can be killed, stopped and started without an effect on other engines.

It lives in a network namespace with a data folder and a socket of its own, without any network beyond itself.
Images come from the machine's engine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import docker

from tests.engine.harness import HERE_PLACE, Place

PYTHON_IMAGE = "deployctl-test-python:bookworm"
_START_LIMIT = 60.0


def python_image() -> None:
    """Provides an image with Python, the first layers of the test model, on the machine's engine."""
    command = ["docker", "build", "-q", "-t", PYTHON_IMAGE, "-"]
    subprocess.run(command, input=HERE_PLACE.layers, text=True, check=True, capture_output=True)


class PrivateEngine:
    """`start`, then use `place`; `close` removes everything."""

    def __init__(self, folder: Path, *, prepare: str = "", options: str = "") -> None:
        """`folder` is empty; the namespace gets its name. `prepare` are lines of a shell script that run before the
        engine, in its mount namespace; `options` are more of its options.
        """
        self.prepare, self.options = prepare, options
        self.folder, self.name = folder, folder.name
        self.namespace = f"/run/netns/{self.name}"
        self.socket = f"unix://{folder}/docker.sock"
        self.bridge = "172.31.99.1/24"  # the same for all, because each has its own namespace
        self._client: Any = None
        self.place = Place(
            client=lambda: self._client,
            prefix=("nsenter", f"--net={self.namespace}"),
            environment={"DOCKER_HOST": self.socket, "DEPLOYCTL_ENGINE_TIMEOUT": "5"},
            namespace=self.namespace,
            layers=f"FROM {PYTHON_IMAGE}",
        )

    def make(self, *images: str) -> None:
        """Starts the engine for the first time and loads images of the machine's engine."""
        for command in (["ip", "netns", "add", self.name], ["ip", "-n", self.name, "link", "set", "lo", "up"]):
            subprocess.run(command, check=True)
        (self.folder / "run.sh").write_text(
            f"mkdir -p /run/docker\nmount -t tmpfs tmpfs /run/docker\n{self.prepare}"
            f"exec dockerd --data-root {self.folder}/data --exec-root {self.folder}/exec --pidfile {self.folder}/pid"
            f" --host {self.socket} --bip {self.bridge}"
            f" --containerd-namespace {self.name} --containerd-plugins-namespace p{self.name} {self.options}\n"
        )
        self.start()
        self.load(*images)

    def load(self, *images: str) -> None:
        """Loads images of the machine's engine into this one."""
        load = ["docker", "-H", self.socket, "load", "-q"]
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            subprocess.run(load, stdin=save.stdout, check=True, capture_output=True)
        assert save.returncode == 0

    def start(self) -> None:
        """Starts the engine and waits until it answers."""
        log = (self.folder / "log").open("ab")
        # In its own mount namespace, because every engine uses /run/docker.
        command = ["nsenter", f"--net={self.namespace}", "unshare", "-m", "sh", str(self.folder / "run.sh")]
        with log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        limit = time.monotonic() + _START_LIMIT
        while subprocess.run(["docker", "-H", self.socket, "info"], capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < limit, (self.folder / "log").read_text()[-2000:]
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        self._client = docker.DockerClient(base_url=self.socket, version="auto", timeout=20)

    @property
    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def kill(self) -> None:
        """Kills the engine, as a crash does. The containers keep running until the engine starts again."""
        self._client.close()
        os.kill(self.pid, signal.SIGKILL)
        self.buried()

    def buried(self) -> None:
        """After the engine was killed: removes what would prevent the next start."""
        self.process.wait(30)
        (self.folder / "pid").unlink(missing_ok=True)
        # The engine's containerd survives it, and a second one would wait for its files.
        subprocess.run(["pkill", "-KILL", "-f", f"{self.folder}/exec/containerd/containerd.toml"], check=False)
        # It may be a zombie, whose process id would look like a running containerd.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stops the engine as the service does: the engine first stops its containers."""
        self._client.close()
        os.kill(self.pid, signal.SIGTERM)
        self.process.wait(60)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Removes the containers, ends the engine, removes its files and its namespace."""
        if self.process.poll() is not None:
            self.start()
        self.thaw()
        for container in self._client.containers.list(all=True, ignore_removed=True):
            container.remove(force=True)
        self.stop()
        subprocess.run(["pkill", "-KILL", "-f", f"{self.folder}/exec"], check=False)
        subprocess.run(["ip", "netns", "del", self.name], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)
