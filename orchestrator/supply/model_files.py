"""Restores the model files of a version from the store or from its commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from orchestrator.domain.version.manifest import MODEL
from orchestrator.errors import StorageError, UsageError

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.domain.version.version import Version
    from orchestrator.ports.manifests import Manifests
    from orchestrator.ports.model_files import ModelFiles
    from orchestrator.ports.progress import Progress
    from orchestrator.ports.source_control import SourceControl


class SupplyPorts(Protocol):
    """The ports that provide the files of a version."""

    @property
    def manifests(self) -> Manifests:
        """Reads sources, and loads manifests."""

    @property
    def models(self) -> ModelFiles:
        """Keeps model files."""

    @property
    def source_control(self) -> SourceControl:
        """Checks out commits."""


@contextmanager
def checkout(ports: SupplyPorts, config: Config, version: Version) -> Iterator[Config]:
    """Checks out a version's commit; yields a configuration that builds from the checkout.

    The model files come from the store if it has them, else from the commit.

    Raises:
        GitError: the commit cannot be checked out, or it lacks something.
        StorageError: the version's manifest cannot be read, or the disk is full.
    """
    models = ports.models
    stored = config.model is not None and models.restore(version, ports.manifests.load(version.manifest))
    weights = models.folder(version.app, version.name) if stored else None
    with ports.source_control.checkout(config, version, weights) as source:
        yield source


def restore(ports: SupplyPorts, config: Config, version: Version, progress: Progress) -> None:
    """Restores the missing model files of a version from the store or from its commit. May be repeated.

    Raises:
        StorageError: neither the store nor the commit has them.
        GitError: they are not in the store, and the commit cannot be checked out.
        Interrupted: `progress.check` raised it.
    """
    if config.model is None:
        return
    recorded = ports.manifests.load(version.manifest)
    if ports.models.restore(version, recorded):
        return
    why = "they were removed, and neither the store nor a commit has them"
    if recorded is not None and version.git_commit is not None:
        try:
            with ports.source_control.checkout(config, version, None) as source:
                if ports.manifests.read(source, keep=True, progress=progress).below(MODEL) == recorded.below(MODEL):
                    ports.models.keep(version.app, version.name, recorded)
                    return
        except UsageError as error:
            why = str(error)
    raise StorageError(
        f"the model files of {version.name} are not available",
        why=why,
        hint=f"restore them, then release the source of {version.name} as a new version",
    )


def protect(ports: SupplyPorts, version: Version) -> None:
    """Restores a version's missing folder from the store, so that `collect` does not remove its files.

    Raises:
        StorageError: the version's manifest cannot be read, or the disk is full.
    """
    if not ports.models.has(version.app, version.name):
        ports.models.restore(version, ports.manifests.load(version.manifest))
