"""The real adapters of manifests, model files and source control for one state folder."""

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
    """The ports of `orchestrator.supply`, with the names that `Services` uses."""

    def __init__(self, state_dir: Path) -> None:
        objects = Objects(state_dir / "store", state_dir / "models")
        self.progress = FakeProgress()
        self.manifests = StoreManifests(state_dir, objects, checkouts=state_dir / "checkouts")
        self.models = StoreModelFiles(state_dir, objects)
        self.source_control = GitSourceControl(state_dir / "checkouts")

    def read(self, config: Config, *, keep: bool) -> Manifest:
        """The manifest of the current sources."""
        return self.manifests.read(config, keep=keep, progress=self.progress)

    def take(self, config: Config, version: str = "v1") -> Manifest:
        """Stores the model files of the current sources for a version; returns the manifest."""
        manifest = self.read(config, keep=True)
        self.models.keep(config.app.name, version, manifest)
        return manifest


def write(tmp_path: Path, text: str) -> None:
    """Writes the same text into all files of the model folder."""
    for name in ("weights", "words/a", "words/b"):
        (tmp_path / "app" / "model" / name).write_text(text)


def content(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The files of each copy, without hidden copies."""
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
    """Makes the digests of files cacheable at once, with a margin of one clock tick."""
    monkeypatch.setattr(seen, "MARGIN", 20_000_000)
    time.sleep(0.05)
