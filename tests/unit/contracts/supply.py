"""One app with a model in a Git repository, behind the fakes and behind the real adapters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.config import Config, load
from orchestrator.domain.version.manifest import CONTEXT, MODEL, File
from orchestrator.domain.version.version import Version
from orchestrator.ports.manifests import Manifests
from orchestrator.ports.model_files import ModelFiles
from orchestrator.ports.source_control import SourceControl
from tests.fakes.progress import FakeProgress
from tests.fakes.supply import FakeSupply, SupplyState
from tests.repositories import commit, git
from tests.unit.builders import version
from tests.unit.stores import Stores

APP = "mymodel"


class Supply(Protocol):
    """The ports under test."""

    @property
    def manifests(self) -> Manifests: ...
    @property
    def models(self) -> ModelFiles: ...
    @property
    def source_control(self) -> SourceControl: ...


@dataclass
class Rig:
    """The ports, and functions to change their environment."""

    folder: Path
    config: Config
    supply: Supply
    state: SupplyState | None

    def write(self, weights: str) -> None:
        """Changes the model's only file."""
        (self.folder / "model" / "weights").write_text(weights)
        if self.state is not None:
            self.state.files = (
                File(f"{CONTEXT}Dockerfile", "file", "0644", 13, "d" * 64),
                File(f"{MODEL}weights", "file", "0644", len(weights), weights.ljust(64, "0")),
            )

    def take(self, name: str) -> Version:
        """Stores the current sources as a version."""
        manifest = self.supply.manifests.read(self.config, keep=True, progress=FakeProgress())
        self.supply.models.keep(APP, name, manifest)
        return version(name, manifest=manifest.digest)

    def commit(self, tag: str) -> str:
        """Commits the current folder, and tags the commit."""
        made = commit(self.folder, tag)
        git(self.folder, "tag", tag)
        if self.state is not None:
            self.state.commit, self.state.commit_of[tag] = made, made
        return made


def make_rig(kind: str, tmp_path: Path) -> Rig:
    """The same world behind `fake` or `real` adapters."""
    folder = tmp_path / "app"
    (folder / "model").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "deploy.toml").write_text(f'[app]\nname = "{APP}"\nport = 8080\n[model]\npath = "model"\n')
    (folder / "model" / "weights").write_text("old")
    git(folder, "init", "-q")
    config = load(folder / "deploy.toml")
    if kind == "real":
        rig = Rig(folder, config, Stores(tmp_path / "state"), None)
    else:
        state = SupplyState(files=(), root=tmp_path / "models")
        rig = Rig(folder, config, FakeSupply(state), state)
    rig.write("old")
    return rig
