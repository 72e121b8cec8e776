"""Fakes of manifests, model files, source control and tensors. They share one state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.config import Config
from orchestrator.domain.version.manifest import MODEL, File, Manifest
from orchestrator.domain.version.tensors import TensorDifference
from orchestrator.domain.version.version import Commit, GitState, Version
from orchestrator.errors import GitError, StorageError, UsageError
from orchestrator.ports.progress import Progress

USER = "Somebody <some@body>"


@dataclass
class SupplyState:
    """The shared state. `context` is the digest of the sources; with `files` the manifest is computed from them."""

    context: str = "sha256:1"
    files: tuple[File, ...] | None = None
    build: dict[str, str] = field(default_factory=dict)
    # The path that `changed` returns.
    written: str | None = None
    # What `followed` returns.
    followed: list[tuple[str, Path]] = field(default_factory=list)
    # The commit of the folder, and the paths that differ from it.
    commit: str | None = None
    changed: tuple[str, ...] = ()
    commit_of: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    # The sizes of the stored files by digest, and the files of each version by app and version.
    stored: dict[str, int] = field(default_factory=dict)
    kept: dict[tuple[str, str], tuple[File, ...]] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    tidied: int = 0
    root: Path = Path("/models")


class FakeManifests:
    """Manifests from the state."""

    def __init__(self, state: SupplyState) -> None:
        self._state = state

    def read(self, config: Config, *, keep: bool, progress: Progress, built: bool = True) -> Manifest:
        if not built:
            files = [file for file in self._state.files or () if file.path.startswith(MODEL)]
            if keep:
                self._state.stored.update((file.digest, file.size) for file in files)
            return Manifest.of(files, {})
        if self._state.files is None:
            manifest = Manifest()
            manifest.__dict__["digest"] = self._state.context  # the cache of the computed property
            return manifest
        manifest = Manifest.of(self._state.files, self._state.build)
        if keep:
            self._state.stored.update((file.digest, file.size) for file in _models(manifest))
        return manifest

    def changed(self, config: Config, manifest: Manifest) -> str | None:
        return self._state.written

    def followed(self, config: Config) -> list[tuple[str, Path]]:
        return self._state.followed

    def load(self, digest: str) -> Manifest | None:
        if digest in self._state.damaged:
            raise StorageError(f"the manifest {digest} was changed")
        return self._state.manifests.get(digest)


class FakeModelFiles:
    """Model files by their digests."""

    def __init__(self, state: SupplyState) -> None:
        self._state = state

    def folder(self, app: str, version: str) -> Path:
        return self._state.root / app / version

    def has(self, app: str, version: str) -> bool:
        return (app, version) in self._state.kept

    def keep(self, app: str, version: str, manifest: Manifest) -> None:
        files = _models(manifest)
        missing = [file.path for file in files if file.digest not in self._state.stored]
        if missing:
            raise StorageError(f"{missing[0]} is missing in the store")
        if self._state.files is not None or manifest.build:
            self._state.manifests[manifest.digest] = manifest
        if files or self._state.files is None:
            self._state.kept[(app, version)] = files
        else:
            self.drop(app, version)

    def restore(self, version: Version, manifest: Manifest | None) -> bool:
        if manifest is None:
            return self.has(version.app, version.name)
        files = _models(manifest)
        if self._state.kept.get((version.app, version.name)) == files:
            return True
        if any(file.digest not in self._state.stored for file in files):
            return False
        self.keep(version.app, version.name, manifest)
        return True

    def drop(self, app: str, version: str) -> None:
        self._state.kept.pop((app, version), None)

    def collect(self) -> int:
        needed = {file.digest for files in self._state.kept.values() for file in files}
        freed = {digest: size for digest, size in self._state.stored.items() if digest not in needed}
        for digest in freed:
            del self._state.stored[digest]
        return sum(freed.values())

    def forget(self, app: str, unused: Callable[[], Collection[str]]) -> int:
        self._state.kept = {key: files for key, files in self._state.kept.items() if key[0] != app}
        for digest in unused():
            self._state.manifests.pop(digest, None)
        return self.collect()

    def check(self, progress: Progress) -> Iterator[tuple[str, str | None]]:
        for digest in sorted(self._state.stored):
            progress.check()
            yield digest, "it was changed" if digest in self._state.damaged else None

    def faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        there = {file.path for file in self._state.kept.get((app, version), ())}
        missing = [f"{file.path}: No such file" for file in _models(manifest) if file.path not in there]
        changed = [
            f"{file.path} is not what was released"
            for file in self._state.kept.get((app, version), ())
            if file.digest in self._state.damaged
        ]
        return missing + changed

    def tidy(self, app: str) -> None:
        self._state.tidied += 1


class FakeSourceControl:
    """One repository with the commits of the state."""

    def __init__(self, state: SupplyState) -> None:
        self._state = state

    def state(self, config: Config) -> GitState:
        commit, changed = self._state.commit, self._state.changed
        if commit is None:
            return GitState(user=USER, missing=f"{config.base} is not in a Git repository")
        return GitState(commit, bool(changed), USER, changed=changed)

    def user(self, folder: Path) -> str | None:
        return USER

    def resolve(self, config: Config, ref: str) -> str:
        for commit in (self._state.commit_of.get(ref), ref if ref in self._state.commit_of.values() else None):
            if commit is not None:
                return commit
        raise UsageError(f"--ref: {ref!r} is not a commit of {config.base}")

    @contextmanager
    def at(self, config: Config, commit: str) -> Iterator[tuple[Config | None, Config]]:
        self._check(commit)
        yield None, config

    @contextmanager
    def checkout(self, config: Config, version: Version, weights: Path | None) -> Iterator[Config]:
        if version.git_commit is None:
            raise GitError(f"{version.name} has no commit")
        self._check(version.git_commit)
        yield config

    def tag(self, config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
        there = self._state.tags.get(name)
        if there == commit:
            return False, ""
        if there is not None:
            return False, f"the tag already exists at {there[:10]}, and is not moved"
        self._state.tags[name] = commit
        return True, ""

    def commits(self, folder: Path, before: str, after: str) -> list[Commit] | None:
        return None

    def tidy(self, app: str) -> None:
        return

    def _check(self, commit: str) -> None:
        # Without a list of commits, every commit exists.
        if self._state.commit_of and commit not in self._state.commit_of.values():
            raise GitError(f"commit {commit[:10]} cannot be fetched")


@dataclass
class FakeTensors:
    """Returns the given difference; none by default. `takes` is how long each comparison needs, on a clock of its own.

    `asked` has the path and the time of each comparison.
    """

    def __init__(self) -> None:
        self.difference = TensorDifference()
        self.takes: dict[str, float] = {}
        self.now = 0.0
        self.asked: list[tuple[str, float]] = []

    def readable(self, path: str) -> bool:
        return path.endswith((".safetensors", ".npy"))

    def compare(self, before: File, after: File, seconds: float) -> TensorDifference:
        self.asked.append((after.path, seconds))
        self.now += min(seconds, self.takes.get(after.path, 0.0))
        return self.difference


class FakeSupply:
    """All fakes with one state, with the names that `Services` uses."""

    def __init__(self, state: SupplyState | None = None) -> None:
        self.state = state or SupplyState()
        self.manifests = FakeManifests(self.state)
        self.models = FakeModelFiles(self.state)
        self.source_control = FakeSourceControl(self.state)
        self.tensors = FakeTensors()


def _models(manifest: Manifest) -> tuple[File, ...]:
    return tuple(replace(file, path=path) for path, file in manifest.below(MODEL).items())
