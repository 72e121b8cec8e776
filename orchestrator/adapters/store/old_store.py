"""The old, wide port `Artifacts` over the new adapters, until `Services` carries the small ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.git.source_control import GitSourceControl
from orchestrator.adapters.store.comparison import StoreTensorComparison
from orchestrator.adapters.store.manifests import StoreManifests
from orchestrator.adapters.store.model_files import StoreModelFiles
from orchestrator.adapters.store.objects import Objects
from orchestrator.supply import model_files

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.domain.version.manifest import File, Manifest
    from orchestrator.domain.version.tensors import TensorChange
    from orchestrator.domain.version.version import Commit, GitState, Version

Say = Callable[[str], None]


class _Progress:
    """A progress that is never interrupted from within: the old callers let signals interrupt it at any point."""

    def __init__(self, say: Say = lambda text: None) -> None:
        self._say = say

    def detail(self, text: str) -> None:
        self._say(text)

    def check(self) -> None:
        return


class ArtifactStore:
    """What the old callers know, by its old names."""

    def __init__(self, state_dir: Path) -> None:
        objects = Objects(state_dir / "store", state_dir / "models")
        self.manifests = StoreManifests(state_dir, objects, checkouts=state_dir / "checkouts")
        self.models = StoreModelFiles(state_dir, objects)
        self.source_control = GitSourceControl(state_dir / "checkouts")
        self._tensors = StoreTensorComparison(objects)

    def manifest(self, config: Config, *, keep: bool, progress: Say = lambda text: None) -> Manifest:
        return self.manifests.read(config, keep=keep, progress=_Progress(progress))

    def changed(self, config: Config, manifest: Manifest) -> str | None:
        return self.manifests.changed(config, manifest)

    def known(self, digest: str) -> Manifest | None:
        return self.manifests.load(digest)

    def git(self, config: Config) -> GitState:
        return self.source_control.state(config)

    def user(self, folder: Path) -> str | None:
        return self.source_control.user(folder)

    def snapshot(self, app: str, version: str, manifest: Manifest) -> None:
        self.models.keep(app, version, manifest)

    def restore_snapshot(self, config: Config, version: Version) -> None:
        model_files.restore(self, config, version, _Progress())

    def resolve(self, config: Config, ref: str) -> str:
        return self.source_control.resolve(config, ref)

    def at(self, config: Config, commit: str) -> AbstractContextManager[tuple[Config | None, Config]]:
        return self.source_control.at(config, commit)

    def checkout(self, config: Config, version: Version) -> AbstractContextManager[Config]:
        return model_files.checkout(self, config, version)

    def tag(self, config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
        return self.source_control.tag(config, name, commit, message, author)

    def keep(self, version: Version) -> None:
        model_files.protect(self, version)

    def drop_snapshot(self, app: str, version: str) -> None:
        self.models.drop(app, version)

    def collect(self) -> int:
        return self.models.collect()

    def check_objects(self, progress: Say) -> Iterator[tuple[str, str | None]]:
        return self.models.check(_Progress(progress))

    def tree_faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        return self.models.faults(app, version, manifest)

    def tensors(self, before: File, after: File) -> tuple[tuple[TensorChange, ...], str | None]:
        return self._tensors.compare(before, after)

    def commits(self, folder: Path, before: str, after: str) -> list[Commit] | None:
        return self.source_control.commits(folder, before, after)

    def tidy(self, app: str) -> None:
        self.models.tidy(app)
        self.source_control.tidy(app)
