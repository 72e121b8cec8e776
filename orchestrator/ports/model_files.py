"""The model files of versions: each distinct file once, and a folder of links for each version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.manifest import Manifest
    from orchestrator.domain.version.version import Version
    from orchestrator.ports.progress import Progress


class ModelFiles(Protocol):
    """Keeps the model files of versions. Callers hold the app's lock. All methods may be repeated.

    A version's folder is complete under its name or does not exist, whenever the program ends.
    """

    def folder(self, app: str, version: str) -> Path:
        """The folder of a version's model files, which its containers mount. It need not exist."""

    def has(self, app: str, version: str) -> bool:
        """Whether the folder exists. Its files are not checked: see `faults`."""

    def keep(self, app: str, version: str, manifest: Manifest) -> None:
        """Stores a version's manifest, and gives it its model files from the store; replaces those that it had.

        Raises:
            StorageError: the disk is full, or a file is missing in the store.
        """

    def restore(self, version: Version, manifest: Manifest | None) -> bool:
        """Whether the version's model files are complete; repairs them from the store first where that is possible.

        `manifest` is what `Manifests.load` has of the version; without one only the folder's existence is checked.

        Raises:
            StorageError: the disk is full.
        """

    def drop(self, app: str, version: str) -> None:
        """Removes a version's folder. One that does not exist is no error."""

    def collect(self) -> int:
        """Removes the stored files that no version needs; returns how many bytes that were.

        Removes nothing while another process adds files.
        """

    def check(self, progress: Progress) -> Iterator[tuple[str, str | None]]:
        """Reads every stored file: the digest in its name, and what is wrong with it in words.

        Raises:
            Interrupted: `progress.check` raised it.
        """

    def faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        """Where a version's model files differ from its manifest, in words; empty when they do not."""

    def tidy(self, app: str) -> None:
        """Removes what a crash has left of copies that were being made or removed."""
