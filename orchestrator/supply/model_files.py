"""The model files of a version: from the store, or else from its commit."""

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
    """The ports that say what a version is made of."""

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
    """A clean checkout of a version's commit, as a configuration that builds from there.

    The model files are those that the store has of the version, else those of the commit.

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
    """Makes a version's model files complete, from the store or from its commit. May be repeated.

    Raises:
        StorageError: they are neither in the store nor in the commit.
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
        hint=f"put them back and release the sources of {version.name} as a new version",
    )


def protect(ports: SupplyPorts, version: Version) -> None:
    """Restores a version's folder that is gone, as far as the store can: `collect` removes what no folder needs.

    Raises:
        StorageError: the version's manifest cannot be read, or the disk is full.
    """
    if not ports.models.has(version.app, version.name):
        ports.models.restore(version, ports.manifests.load(version.manifest))
