"""Manifests: the files of a version with their digests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.domain.version.manifest import Manifest
    from orchestrator.ports.progress import Progress


class Manifests(Protocol):
    """Reads manifests from sources and from the store. All methods may be repeated."""

    def read(self, config: Config, *, keep: bool, progress: Progress, built: bool = True) -> Manifest:
        """The manifest of the sources as they are now; of the model files alone, unless an image is `built` from them.

        With `keep` the model files are copied into the store. No other process removes them from there until
        `ModelFiles.keep` assigns them to a version, or this process ends or calls `ModelFiles.collect`.

        Raises:
            UsageError: a source cannot be read, changes while it is read, is a Git LFS pointer, or cannot be part of a
                version: a symlink in the model folder of a checkout that leads out of the checkout, for example.
            StorageError: the model files cannot be stored; the disk is full, for example.
            Interrupted: `progress.check` raised it.
        """

    def changed(self, config: Config, manifest: Manifest) -> str | None:
        """A path in the build context that has changed since this process read `manifest`; None without one.

        For a check after a build, because the builder may have read newer files.

        Raises:
            UsageError: a source cannot be read.
        """

    def followed(self, config: Config) -> list[tuple[str, Path]]:
        """The symlinks in the model folder that lead out of it, with the files that a version gets in their place.

        Raises:
            UsageError: the folder cannot be read, or a file cannot be part of a version.
        """

    def load(self, digest: str) -> Manifest | None:
        """The manifest of a version; None when it was never stored.

        Raises:
            StorageError: it cannot be read, or does not match its digest.
        """
