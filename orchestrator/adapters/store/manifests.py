"""Reads the sources of a version: digests of all files, and copies of the model files."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.store import context
from orchestrator.adapters.store.context import SourceFile
from orchestrator.adapters.store.digest import CHUNK, digest
from orchestrator.adapters.store.model_files import cannot_store
from orchestrator.adapters.store.objects import Objects
from orchestrator.adapters.store.seen import Seen, cache_file, marks
from orchestrator.config import Config, printable
from orchestrator.domain.version.manifest import CONTEXT, MODEL, File, Manifest
from orchestrator.errors import StorageError, UsageError
from orchestrator.text import counted, size

if TYPE_CHECKING:
    from orchestrator.ports.progress import Progress

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer is smaller than 1024 bytes and begins like this.
_POINTER, _POINTER_SIZE = b"version https://git-lfs.github.com/spec/", 1024
_SHOWN = 5
# With fewer bytes than this, threads cost more than they save.
_THREADS_FROM = 1 << 20
# Seconds between two reports about a file that takes long.
_REPORT_INTERVAL = 1.0

Read = tuple[SourceFile, str, os.stat_result, int]
"""A source, its digest, its status, and when it was read (nanoseconds since the epoch)."""


class StoreManifests:
    """Reads sources, and the manifests in a state folder. See `Manifests`.

    Files that did not change since the last read are not read again. `checkouts` is the folder of temporary
    checkouts: their digests are not cached.
    """

    def __init__(self, state_dir: Path, objects: Objects, *, checkouts: Path) -> None:
        self._state_dir = state_dir
        self._objects = objects
        self._checkouts = checkouts
        # The marks of each file when `read` read it.
        self._marks: dict[Path, tuple[int, ...]] = {}

    def read(self, config: Config, *, keep: bool, progress: Progress, built: bool = True) -> Manifest:
        sources = context.sources(config, self._checkouts, built=built)
        self._refuse_own_folder(config, sources)
        seen = Seen(cache_file(self._state_dir, config.app.name))
        try:
            if keep:
                self._objects.hold()
            known, unread = self._split(sources, seen, keep=keep)
            _refuse_pointers(unread)
            for source, value, status, read_at in self._read(config.app.name, unread, keep=keep, progress=progress):
                known[source.place] = (value, status.st_size)
                self._marks[source.place] = marks(status)
                seen.note(source.place, status, value, read_at)
            if keep and any(source.path.startswith(MODEL) for source in unread):
                self._objects.flush()
                self._refuse_changes(config, sources)
        except OSError as error:
            self._objects.collect()
            raise self._unusable(error) from error
        except (StorageError, UsageError):
            self._objects.collect()
            raise
        if not config.context_dir.is_relative_to(self._checkouts):
            seen.save()
        files = (_file(source, known.get(source.place)) for source in sources)
        return Manifest.of(files, context.facts(config) if built else {})

    def changed(self, config: Config, manifest: Manifest) -> str | None:
        now = {
            source.path: source
            for source in context.sources(config, self._checkouts)
            if source.path.startswith(CONTEXT)
        }
        before = {path: file for path, file in manifest.files.items() if path.startswith(CONTEXT)}
        changed = sorted(now.keys() ^ before.keys())
        for path, source in now.items():
            same = before.get(path) == File.link(path, source.target) if source.target is not None else False
            if not same and self._marks.get(source.place) != marks(source.status):
                changed.append(path)
        return changed[0].removeprefix(CONTEXT) if changed else None

    def followed(self, config: Config) -> list[tuple[str, Path]]:
        try:
            found = context.model(config, self._checkouts)
        except OSError as error:
            raise context.unreadable(error) from error
        return [(source.path.removeprefix(MODEL), source.follows) for source in found if source.follows is not None]

    def load(self, digest: str) -> Manifest | None:
        return self._objects.load(digest)

    def _split(
        self, sources: list[SourceFile], seen: Seen, *, keep: bool
    ) -> tuple[dict[Path, tuple[str, int]], list[SourceFile]]:
        """Digest and size of the files that need not be read, and the files that must be read."""
        known: dict[Path, tuple[str, int]] = {}
        unread: dict[Path, SourceFile] = {}
        for source in sources:
            if source.target is not None or source.is_folder:
                continue
            cached = seen.digest(source.place, source.status)
            stored = keep and source.path.startswith(MODEL)
            if cached is None or (stored and not self._objects.has(_file(source, (cached, source.status.st_size)))):
                # A file of both the context and the model folder is read once, and stored.
                if stored or source.place not in unread:
                    unread[source.place] = source
            else:
                known.setdefault(source.place, (cached, source.status.st_size))
                self._marks[source.place] = marks(source.status)
        return known, list(unread.values())

    def _read(self, app: str, sources: list[SourceFile], *, keep: bool, progress: Progress) -> Iterable[Read]:
        # The largest first, so that no large file starts last.
        order = sorted(sources, key=lambda source: -source.status.st_size)
        stored = {source.place for source in order if keep and source.path.startswith(MODEL)}
        if stored:
            folder = self._state_dir / "store"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(folder).free
            if sum(source.status.st_size for source in order if source.place in stored) > free:
                stored = self._new(order, stored, free)
        stop = threading.Event()

        # For each file, in bytes: each thread changes its own.
        done = [0] * len(order)

        def read(item: tuple[int, SourceFile]) -> Read:
            number, source = item

            def stopped() -> bool:
                done[number] = min(done[number] + CHUNK, source.status.st_size)
                return stop.is_set()

            if source.place in stored:
                return source, *self._objects.add(source.place, source.mode, f"{app}.{number}", stopped)
            return source, *digest(source.place, stopped=stopped)

        total = sum(source.status.st_size for source in order)
        if total < _THREADS_FROM:
            return [read(item) for item in enumerate(order)]
        # Threads, because hashing, reading and writing release the interpreter lock.
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            jobs = [pool.submit(read, item) for item in enumerate(order)]
            results: list[Read] = []
            try:
                for job in jobs:
                    while not wait([job], _REPORT_INTERVAL).done:
                        progress.check()
                        progress.update(_so_far(sum(done), total, len(results), len(jobs)))
                    results.append(job.result())
                    progress.check()
                    if len(results) % (len(jobs) // 20 + 1) == 0:
                        progress.update(_so_far(sum(done), total, len(results), len(jobs)))
                return results
            finally:
                stop.set()  # after an error or Ctrl-C, stop the others
                for job in jobs:
                    job.cancel()

    def _new(self, sources: list[SourceFile], stored: set[Path], free: int) -> set[Path]:
        """The files whose content is not in the store: when the disk space is low, only these are copied.

        Raises:
            StorageError: the disk space is not sufficient.
        """
        new: dict[str, int] = {}
        places = set()
        for source in sources:
            if source.place in stored:
                value, status, _ = digest(source.place)
                if not self._objects.has(_file(source, (value, status.st_size))):
                    new[value] = status.st_size
                    places.add(source.place)
        if (needed := sum(new.values())) > free:
            raise cannot_store(self._state_dir / "store", f"{needed} bytes are new, {free} are free")
        return places

    def _refuse_own_folder(self, config: Config, sources: list[SourceFile]) -> None:
        """Rejects sources that contain the store, which would grow with every release."""
        for key, root in (("build.context", config.context_dir), ("model.path", config.model_dir)):
            if root is None or not self._state_dir.is_relative_to(root):
                continue
            if any(source.place.is_relative_to(self._state_dir) for source in sources):
                raise UsageError(
                    f"{key} contains the state folder {printable(self._state_dir)}",
                    why="every release would contain all releases before it",
                    hint="use another --state-dir, or add it to .dockerignore",
                )

    def _refuse_changes(self, config: Config, sources: list[SourceFile]) -> None:
        """Rejects a model folder that changed while its files were copied."""
        before = {source.path for source in sources if source.path.startswith(MODEL)}
        now = {source.path: source for source in context.model(config, self._checkouts)}
        changed = sorted(before ^ now.keys())
        for path, source in now.items():
            seen = self._marks.get(source.place)  # a link and a folder have none
            if seen is not None and seen != marks(source.status):
                changed.append(path)
        if changed:
            raise UsageError(
                f"model.path: {printable(changed[0].removeprefix(MODEL))} changed while the folder was copied",
                why="the version would contain old and new files",
                hint="let the program that writes it finish, or name the file in model.ignore; then release again",
            )

    def _unusable(self, error: OSError) -> StorageError | UsageError:
        place = Path(os.fsdecode(error.filename)) if error.filename is not None else self._state_dir
        store = self._state_dir / "store"
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or place.is_relative_to(store):
            return cannot_store(store, f"{error.strerror} ({place.name})")
        return context.unreadable(error)


def _so_far(done: int, total: int, files: int, of: int) -> str:
    return f"{size(done)} of {size(total)} read, {files} of {counted(of, 'file')}"


def _file(source: SourceFile, known: tuple[str, int] | None) -> File:
    if source.is_folder:
        return File.folder(source.path)
    if source.target is not None or known is None:
        return File.link(source.path, source.target or "")
    value, size = known
    return File(source.path, "file", source.mode, size, value)


def _refuse_pointers(sources: list[SourceFile]) -> None:
    pointers = []
    for source in sources:
        if source.status.st_size < _POINTER_SIZE:
            with source.place.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    pointers.append(str(source.place))
    if pointers:
        more = f" and {len(pointers) - _SHOWN} more" if len(pointers) > _SHOWN else ""
        raise UsageError(
            f"{', '.join(pointers[:_SHOWN])}{more}: a Git LFS pointer, not the file itself",
            why="the file was not fetched from Git LFS, so the model would have no weights",
            hint="git lfs pull; or exclude it with .dockerignore",
        )
