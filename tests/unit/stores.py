"""The real adapters that say what a version is made of, over one state folder."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.adapters.git.source_control import GitSourceControl
from orchestrator.adapters.store import seen
from orchestrator.adapters.store.manifests import StoreManifests
from orchestrator.adapters.store.model_files import StoreModelFiles
from orchestrator.adapters.store.objects import Objects
from orchestrator.config import Config
from orchestrator.domain.version.manifest import Manifest
from tests.fakes.progress import FakeProgress


class Stores:
    """The ports of `orchestrator.supply`, under the names that `Services` gives them."""

    def __init__(self, state_dir: Path) -> None:
        objects = Objects(state_dir / "store", state_dir / "models")
        self.progress = FakeProgress()
        self.manifests = StoreManifests(state_dir, objects, checkouts=state_dir / "checkouts")
        self.models = StoreModelFiles(state_dir, objects)
        self.source_control = GitSourceControl(state_dir / "checkouts")

    def read(self, config: Config, *, keep: bool) -> Manifest:
        """The manifest of the sources as they are now."""
        return self.manifests.read(config, keep=keep, progress=self.progress)

    def take(self, config: Config, version: str = "v1") -> Manifest:
        """Keeps the model files of the sources as they are now as those of a version."""
        manifest = self.read(config, keep=True)
        self.models.keep(config.app.name, version, manifest)
        return manifest


def write(tmp_path: Path, text: str) -> None:
    """Writes the same text into all files of the model folder."""
    for name in ("weights", "words/a", "words/b"):
        (tmp_path / "app" / "model" / name).write_text(text)


def content(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The files of each copy, those that are not hidden."""
    return {
        copy.name: {str(path.relative_to(copy)): path.read_text() for path in copy.rglob("*") if path.is_file()}
        for copy in (tmp_path / "models" / "m").glob("[!.]*")
    }


def whole(text: str) -> dict[str, str]:
    return dict.fromkeys(("weights", "words/a", "words/b"), text)


def objects(tmp_path: Path) -> dict[str, int]:
    """Every stored file by its content, with the number of links to it."""
    return {
        path.read_text(): path.stat().st_nlink for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()
    }


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the digests of files cacheable at once: the margin is a tick of the clock."""
    monkeypatch.setattr(seen, "MARGIN", 20_000_000)
    time.sleep(0.05)
