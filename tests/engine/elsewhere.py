"""A stand-in for CI, which builds images and pushes them to a registry."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import docker

from tests.engine.harness import App, engine


class CI:
    """Builds images in a folder of its own, and pushes them to the registry `host`. `clean` removes them."""

    def __init__(self, folder: Path, host: str) -> None:
        self.name = f"m{secrets.token_hex(4)}"
        self.host, self.repository = host, f"{host}/ci/{self.name}"
        self._source = App(folder, folder / "none", name=self.name)
        # Else it may be the parent of another test's image, and stays when its names are removed.
        with (folder / "Dockerfile").open("a") as file:
            file.write(f"LABEL of={self.name}\n")
        self._names: list[str] = []

    def build(self, version: str, name: str) -> str:
        self._source.write(version)
        subprocess.run(
            ["docker", "build", "-q", "-t", name, "."], cwd=self._source.folder, check=True, capture_output=True
        )
        self._names.append(name)
        return name

    def push(self, version: str, tag: str) -> str:
        """An image that only the registry has; returns its name."""
        name = self.build(version, f"{self.repository}:{tag}")
        subprocess.run(["docker", "push", "-q", name], check=True, capture_output=True)
        subprocess.run(["docker", "rmi", name], check=True, capture_output=True)
        return name

    def foreign(self, name: str) -> str:
        """An empty image for a processor that this machine does not have."""
        layer = io.BytesIO()
        tarfile.open(fileobj=layer, mode="w").close()
        digest = hashlib.sha256(layer.getvalue()).hexdigest()
        config = {
            "architecture": "s390x",
            "os": "linux",
            "config": {"Cmd": ["/x"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        files = {
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer.getvalue(),
            "manifest.json": json.dumps(manifest).encode(),
        }
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        engine().images.load(archive.getvalue())
        self._names.append(name)
        return name

    def clean(self) -> None:
        for name in self._names:
            with suppress(docker.errors.ImageNotFound):
                engine().images.remove(name, force=True)
