"""The model files of versions, as folders of hard links to the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.store.digest import digest
from orchestrator.adapters.store.objects import Objects
from orchestrator.adapters.store.seen import cache_file
from orchestrator.config import printable
from orchestrator.domain.version.manifest import MODEL, Manifest
from orchestrator.errors import StorageError, UsageError
from orchestrator.files import left_over

if TYPE_CHECKING:
    from orchestrator.domain.version.version import Version
    from orchestrator.ports.progress import Progress


class StoreModelFiles:
    """Model files below `models` in a state folder, linked to the objects below `store`. See `ModelFiles`."""

    def __init__(self, state_dir: Path, objects: Objects) -> None:
        self._state_dir = state_dir
        self._objects = objects

    def folder(self, app: str, version: str) -> Path:
        return self._objects.tree(app, version)

    def has(self, app: str, version: str) -> bool:
        return self.folder(app, version).is_dir()

    def keep(self, app: str, version: str, manifest: Manifest) -> None:
        try:
            self._objects.save(app, manifest)
            files = manifest.below(MODEL)
            if files:
                self._objects.plant(app, version, files)
            else:
                self._objects.uproot(app, version)
        except OSError as error:
            raise cannot_store(self.folder(app, version), str(error)) from error

    def restore(self, version: Version, manifest: Manifest | None) -> bool:
        if manifest is None:
            return self.has(version.app, version.name)  # of a release that stored no manifest
        files = manifest.below(MODEL)
        if self._objects.whole(version.app, version.name, files):
            return True
        self._objects.hold()
        if not all(file.kind != "file" or self._objects.has(file) for file in files.values()):
            self._objects.release()
            return False
        self.keep(version.app, version.name, manifest)
        return True

    def drop(self, app: str, version: str) -> None:
        self._objects.uproot(app, version)

    def collect(self) -> int:
        return self._objects.collect()

    def forget(self, app: str, unused: Callable[[], Collection[str]]) -> int:
        self.tidy(app)
        self._objects.forget(app)
        cache_file(self._state_dir, app).unlink(missing_ok=True)
        return self._objects.collect(unused)

    def check(self, progress: Progress) -> Iterator[tuple[str, str | None]]:
        def read(item: tuple[str, Path]) -> tuple[str, str | None]:
            name, place = item
            try:
                value = digest(place)[0]
            except (OSError, UsageError) as error:
                return name, str(error)
            return name, None if value == name else f"its digest is {value[:16]}…: {place} was changed"

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for count, result in enumerate(pool.map(read, self._objects.all()), 1):
                progress.check()
                if count % 100 == 0:
                    progress.update(f"{count} stored files read")
                yield result

    def faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        return self._objects.faults(app, version, manifest)

    def tidy(self, app: str) -> None:
        self._objects.tidy(app)
        cache = cache_file(self._state_dir, app)
        for path in left_over(cache):
            path.unlink(missing_ok=True)


def cannot_store(place: Path, why: str) -> StorageError:
    """The error for model files that cannot be written below `place`."""
    return StorageError(
        f"model.path: its files cannot be stored in {printable(place)}",
        why=why,
        hint="if the disk is full, free space with deployctl prune, or use another --state-dir",
    )
