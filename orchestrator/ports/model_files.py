"""The model files of versions: each distinct file is stored once, and each version has a folder of links."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.manifest import Manifest
    from orchestrator.domain.version.version import Version
    from orchestrator.ports.progress import Progress


class ModelFiles(Protocol):
    """Stores the model files of versions. Callers hold the app's lock. All methods may be repeated.

    A version's folder is complete or does not exist, even after a crash.
    """

    def folder(self, app: str, version: str) -> Path:
        """The folder of a version's model files, which its containers mount. It need not exist."""

    def has(self, app: str, version: str) -> bool:
        """Whether the folder exists. Its files are not checked: see `faults`."""

    def keep(self, app: str, version: str, manifest: Manifest) -> None:
        """Stores a version's manifest, and creates its folder from the store; replaces an existing folder.

        Raises:
            StorageError: the disk is full, or a file is missing in the store.
        """

    def restore(self, version: Version, manifest: Manifest | None) -> bool:
        """Restores a version's missing model files from the store; returns whether they are complete then.

        `manifest` is the result of `Manifests.load`; without one only the folder's existence is checked.

        Raises:
            StorageError: the disk is full.
        """

    def drop(self, app: str, version: str) -> None:
        """Removes a version's folder. A missing one is not an error."""

    def collect(self) -> int:
        """Removes the stored files that no version needs; returns their size in bytes.

        Removes nothing while another process is adding files.
        """

    def forget(self, app: str, unused: Callable[[], Collection[str]]) -> int:
        """Removes all folders of an app and what is known about its sources, then as `collect` does.

        Also removes the stored manifests with the digests that `unused` returns. It is called while no process adds
        files, and not at all if one does. Returns the size in bytes of what was removed from the store.
        """

    def check(self, progress: Progress) -> Iterator[tuple[str, str | None]]:
        """Reads every stored file; yields the digest in its name, and what is wrong with it in words or None.

        Raises:
            Interrupted: `progress.check` raised it.
        """

    def faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        """Where a version's model files differ from its manifest, in words; empty when they do not."""

    def tidy(self, app: str) -> None:
        """Removes partial copies that a crash has left."""
