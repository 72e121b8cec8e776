"""The artifacts of versions: manifests of what they are made of, Git's facts, snapshots of model folders."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.git import checkouts, git
from orchestrator.adapters.store import context
from orchestrator.adapters.store.context import Source
from orchestrator.adapters.store.objects import Objects, digest
from orchestrator.adapters.store.seen import Seen, marks
from orchestrator.config import Config, printable
from orchestrator.domain.version.manifest import CONTEXT, MODEL, File, Manifest
from orchestrator.domain.version.version import Commit, GitState, Version
from orchestrator.errors import DeploymentFailed, UsageError
from orchestrator.files import TEMPORARY

if TYPE_CHECKING:
    from orchestrator.domain.version.tensors import TensorChange

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer is smaller than 1024 bytes and begins so.
_POINTER, _POINTER_SIZE = b"version https://git-lfs.github.com/spec/", 1024
_SHOWN = 5


class ArtifactStore:
    """What versions are made of: below `store` and `models` in the state folder."""

    def __init__(self, state_dir: Path) -> None:
        self.objects = Objects(state_dir / "store", state_dir / "models")
        self._state_dir = state_dir
        self._seen = state_dir / "store" / "seen"
        self._checkouts = state_dir / "checkouts"
        # How each file was when `manifest` read it.
        self._marks: dict[Path, tuple[int, ...]] = {}

    def manifest(self, config: Config, *, keep: bool, progress: Callable[[str], None] = lambda text: None) -> Manifest:
        """What would be released now. `keep` takes the model's files into the store on the way, until `snapshot`.

        All processors read; what has not changed since it was read last is not read again.

        Raises:
            UsageError: a file cannot be read, changes while it is read, is a pointer of Git LFS, or does not fit
                on the disk.
        """
        found = context.sources(config)
        self._refuse_own(config, found)
        seen = Seen(self._cache(config.app.name))
        known: dict[Path, tuple[str, int]] = {}
        unread: dict[Path, Source] = {}
        try:
            if keep:
                self.objects.hold()
            for source in found:
                if source.target is not None:
                    continue
                cached = seen.digest(source.place, source.status)
                taken = keep and source.path.startswith(MODEL)
                if cached is None or (taken and not self.objects.has(_file(source, (cached, source.status.st_size)))):
                    # Both in the context and in the model's folder: read once, and kept.
                    if taken or source.place not in unread:
                        unread[source.place] = source
                else:
                    known.setdefault(source.place, (cached, source.status.st_size))
                    self._marks[source.place] = marks(source.status)
            _refuse_pointers(list(unread.values()))
            for source, value, status, read_at in self._read(
                config.app.name, list(unread.values()), keep=keep, progress=progress
            ):
                known[source.place] = (value, status.st_size)
                self._marks[source.place] = marks(status)
                seen.note(source.place, status, value, read_at)
            if keep and any(source.path.startswith(MODEL) for source in unread.values()):
                self.objects.flush()
                self._refuse_moving(config, found)
        except OSError as error:
            self.objects.collect()
            raise self._unusable(error) from error
        except UsageError:
            self.objects.collect()
            raise
        if not config.context_dir.is_relative_to(self._checkouts):  # that one is there once only
            seen.save()
        return Manifest.of((_file(source, known.get(source.place)) for source in found), context.facts(config))

    def _read(
        self, app: str, sources: list[Source], *, keep: bool, progress: Callable[[str], None]
    ) -> Iterable[tuple[Source, str, os.stat_result, int]]:
        # The largest first: nobody waits at the end for one that began late.
        order = sorted(sources, key=lambda source: -source.status.st_size)
        taken = {source.place for source in order if keep and source.path.startswith(MODEL)}
        if taken:
            self._seen.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(self._seen.parent).free
            if sum(source.status.st_size for source in order if source.place in taken) > free:
                taken = self._new(order, taken, free)
        stop = threading.Event()

        def read(item: tuple[int, Source]) -> tuple[Source, str, os.stat_result, int]:
            number, source = item
            if source.place in taken:
                return source, *self.objects.add(source.place, source.mode, f"{app}.{number}", stop.is_set)
            return source, *digest(source.place, stopped=stop.is_set)

        if sum(source.status.st_size for source in order) < 1 << 20:
            return [read(item) for item in enumerate(order)]
        from concurrent.futures import ThreadPoolExecutor

        # Threads: digesting, reading and writing leave the interpreter to others.
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            jobs = [pool.submit(read, item) for item in enumerate(order)]
            found = []
            try:
                for job in jobs:
                    found.append(job.result())
                    if len(found) % (len(jobs) // 20 + 1) == 0:
                        progress(f"{len(found)} of {len(jobs)} files read")
                return found
            finally:
                stop.set()  # after an error, or Ctrl-C: the others need not go on
                for job in jobs:
                    job.cancel()

    def _new(self, sources: list[Source], taken: set[Path], free: int) -> set[Path]:
        """Those whose content the store does not have: when the disk is small, only they are copied.

        Raises:
            UsageError: they do not fit on the disk.
        """
        new: dict[str, int] = {}
        places = set()
        for source in sources:
            if source.place in taken:
                value, status, _ = digest(source.place)
                if not self.objects.has(_file(source, (value, status.st_size))):
                    new[value] = status.st_size
                    places.add(source.place)
        if (needed := sum(new.values())) > free:
            raise _not_kept(self._seen.parent, f"{needed} bytes are new, {free} are free")
        return places

    def _refuse_own(self, config: Config, found: list[Source]) -> None:
        """A store that takes itself in would grow with every release."""
        for key, root in (("build.context", config.context_dir), ("model.path", config.model_dir)):
            if root is None or not self._state_dir.is_relative_to(root):
                continue
            if any(source.place.is_relative_to(self._state_dir) for source in found):
                raise UsageError(
                    f"{key}: the state folder {printable(self._state_dir)} is in there",
                    why="every release would hold all releases before it",
                    hint="use another --state-dir, or name it in .dockerignore",
                )

    def _refuse_moving(self, config: Config, found: list[Source]) -> None:
        """What was taken one file after the other must have been one state of the whole folder."""
        before = {source.path for source in found if source.path.startswith(MODEL)}
        now = {source.path: source for source in context.model(config)}
        strange = sorted(before ^ now.keys())
        strange += [
            path
            for path, source in now.items()
            if source.target is None and self._marks.get(source.place, marks(source.status)) != marks(source.status)
        ]
        if strange:
            raise UsageError(
                f"model.path: {printable(strange[0].removeprefix(MODEL))} changed while the folder was taken",
                why="the version would hold some files of before and some of after",
                hint="let the program that writes it finish, then release again",
            )

    def _unusable(self, error: OSError) -> UsageError:
        place = Path(os.fsdecode(error.filename)) if error.filename is not None else self._state_dir
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or place.is_relative_to(self._state_dir):
            return _not_kept(self._seen.parent, f"{error.strerror} ({place.name})")
        return context.unreadable(error)

    def changed(self, config: Config, manifest: Manifest) -> str | None:
        """A file of the context that is not what it was when its manifest was made, by its path; None: all are.

        It is asked after the build: what the builder read may be newer than what was digested.
        """
        found = {source.path: source for source in context.sources(config) if source.path.startswith(CONTEXT)}
        before = {path: file for path, file in manifest.files.items() if path.startswith(CONTEXT)}
        strange = sorted(found.keys() ^ before.keys())
        for path, source in found.items():
            same = before.get(path) == File.link(path, source.target) if source.target is not None else False
            if not same and self._marks.get(source.place) != marks(source.status):
                strange.append(path)
        return strange[0].removeprefix(CONTEXT) if strange else None

    def known(self, digest: str) -> Manifest | None:
        """The manifest of a version; None when it was never kept.

        Raises:
            DeploymentFailed: it was changed.
        """
        return self.objects.load(digest)

    def git(self, config: Config) -> GitState:
        return checkouts.look(config)

    def user(self, folder: Path) -> str | None:
        return git.user(folder)

    def snapshot(self, app: str, version: str, manifest: Manifest) -> None:
        """Keeps a version's manifest, and its model's files as a tree of links to the store.

        Raises:
            UsageError: the disk is full, or a file is gone from the store.
        """
        try:
            self.objects.save(app, manifest)
            files = manifest.below(MODEL)
            if files:
                self.objects.plant(app, version, files)
            else:
                self.objects.uproot(app, version)
        except OSError as error:
            raise _not_kept(self.objects.tree(app, version), str(error)) from error

    def resolve(self, config: Config, ref: str) -> str:
        return checkouts.commit(config, ref)

    @contextmanager
    def at(self, config: Config, commit: str) -> Iterator[tuple[Config | None, Config]]:
        """A commit's own configuration, if it has one, and the one that builds from a checkout of it.

        Raises:
            DeploymentFailed: Git cannot give it.
            UsageError: the commit does not have what is to be built.
        """
        with checkouts.checkout(config, commit, self._checkouts) as found:
            own = found.configuration(config)
            yield own, found.building(own or config)

    @contextmanager
    def checkout(self, config: Config, version: Version) -> Iterator[Config]:
        """The version's source as its commit has it, as a configuration that builds from there.

        Weights come from the version's snapshot, from the store, or else from the commit too.

        Raises:
            DeploymentFailed: there is no such commit any more, or the weights are nowhere.
        """
        assert version.git_commit is not None, "only what has a commit is built from it"
        kept = config.model is not None and self._planted(version)
        weights = self.objects.tree(version.app, version.name) if kept else None
        with checkouts.checkout(config, version.git_commit, self._checkouts) as found:
            try:
                source = found.building(config, weights=weights, complete=False)
            except UsageError as error:
                raise DeploymentFailed(error.message, why=error.why, hint=error.hint) from error
            if source.model_dir is not None and not source.model_dir.is_dir():
                raise DeploymentFailed(
                    f"the weights of {version.name} are gone",
                    why=f"they are neither in the store nor in commit {version.git_commit[:10]}",
                    hint=f"release {version.name}'s source as a new version, with the weights in their place",
                )
            yield source

    def tag(self, config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
        return checkouts.tag(config, name, commit, message, author)

    def restore_snapshot(self, config: Config, version: Version) -> None:
        """Makes a version's tree again, from what the store has, or from its commit. Nothing to do when it is there.

        Raises:
            DeploymentFailed: the files are nowhere any more.
        """
        if config.model is None or self._planted(version):
            return
        recorded = self.known(version.manifest)
        why = "its tree was removed, and its files are neither in the store nor in a commit"
        if recorded is not None and version.git_commit is not None:
            try:
                with self.checkout(config, version) as source:
                    if self.manifest(source, keep=True).below(MODEL) == recorded.below(MODEL):
                        self.snapshot(version.app, version.name, recorded)
                        return
            except UsageError as error:
                why = str(error)
        raise DeploymentFailed(
            f"the weights of {version.name} are gone",
            why=why,
            hint=f"release {version.name}'s source as a new version, with the weights in their place",
        )

    def _planted(self, version: Version) -> bool:
        """Whether a version's tree is there; it is made again when the store has all its files."""
        recorded = self.known(version.manifest)
        if recorded is None:
            return self.has_snapshot(version.app, version.name)  # of a deployctl that kept no manifests
        files = recorded.below(MODEL)
        if self.objects.whole(version.app, version.name, files):
            return True
        self.objects.hold()
        if not all(file.kind == "link" or self.objects.has(file) for file in files.values()):
            self.objects.release()
            return False
        self.snapshot(version.app, version.name, recorded)
        return True

    def keep(self, version: Version) -> None:
        """Makes a tree that is gone again, as far as the store can: what no tree needs is about to be collected.

        Raises:
            DeploymentFailed: the version's manifest was changed.
        """
        if not self.has_snapshot(version.app, version.name):
            self._planted(version)

    def drop_snapshot(self, app: str, version: str) -> None:
        """Removes a version's tree, if it has one."""
        self.objects.uproot(app, version)

    def collect(self) -> int:
        """Removes what no version needs from the store; returns how many bytes that were."""
        return self.objects.collect()

    def check_objects(self, progress: Callable[[str], None]) -> Iterator[tuple[str, str | None]]:
        """Reads every stored file on all processors: the digest that its name says, and what is wrong with it."""
        from concurrent.futures import ThreadPoolExecutor

        def look(item: tuple[str, Path]) -> tuple[str, str | None]:
            name, place = item
            try:
                found = digest(place)[0]
            except (OSError, UsageError) as error:
                return name, str(error)
            return name, None if found == name else f"it is {found[:16]}… now: {place} was changed"

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for count, result in enumerate(pool.map(look, self.objects.all()), 1):
                if count % 100 == 0:
                    progress(f"{count} stored files read")
                yield result

    def tree_faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        """Where a version's tree is not what its manifest says, in words."""
        return self.objects.faults(app, version, manifest)

    def tensors(self, before: File, after: File) -> tuple[tuple[TensorChange, ...], str | None]:
        """Which tensors differ from one file to the other, and why they could not be compared."""
        from orchestrator.adapters.store import tensors

        if not tensors.readable(after.path):
            return (), None
        one, two = (self.objects.place(file.digest, file.mode) for file in (before, after))
        if not (one.exists() and two.exists()):
            return (), "only what is in the [model] folder, and in a kept version, can be compared tensor by tensor"
        try:
            return tensors.compare(one, two, after.path), None
        except tensors.TensorsUnreadable as error:
            return (), f"{error.why}: {error.hint}" if error.hint else error.why

    def commits(self, folder: Path, before: str, after: str) -> list[Commit] | None:
        """The commits that are in one and not in the other, newest first; None when Git cannot tell."""
        return git.commits(folder, before, after)

    def tidy(self, app: str) -> None:
        """Removes what a crash left of copies that were being made or removed: it may be as large as the model."""
        self.objects.tidy(app)
        checkouts.tidy(self._checkouts, app)
        cache = self._cache(app)
        cache.with_name(cache.name + TEMPORARY).unlink(missing_ok=True)

    def _cache(self, app: str) -> Path:
        return self._seen / f"{app}.json"

    def has_snapshot(self, app: str, version: str) -> bool:
        return self.objects.tree(app, version).is_dir()


def _file(source: Source, known: tuple[str, int] | None) -> File:
    if source.target is not None or known is None:
        return File.link(source.path, source.target or "")
    digest, size = known
    return File(source.path, "file", source.mode, size, digest)


def _refuse_pointers(sources: list[Source]) -> None:
    found = []
    for source in sources:
        if source.status.st_size < _POINTER_SIZE:
            with source.place.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    found.append(str(source.place))
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UsageError(
            f"{', '.join(found[:_SHOWN])}{more}: only a pointer of Git LFS, not the file itself",
            why="the file was not fetched: a model would be served without its weights",
            hint="git lfs pull; or leave it out with .dockerignore",
        )


def _not_kept(place: Path, why: str) -> UsageError:
    return UsageError(
        f"model.path: its files cannot be kept in {printable(place)}",
        why=why,
        hint="if the disk is full: deployctl prune removes what no kept version needs; or use another --state-dir",
    )


def os_user() -> str:
    """The login name of whoever runs this."""
    import pwd

    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
