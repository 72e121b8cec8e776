"""The artifacts of versions: digests of what they are built from, Git's facts, snapshots of model folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.artifacts import checkouts, context, git
from orchestrator.config import Config
from orchestrator.core.model import GitState, Version
from orchestrator.errors import DeploymentFailed, UsageError
from orchestrator.files import TEMPORARY


class ArtifactStore:
    """Keeps each version's model folder as it was at its release, below `models` in the state folder."""

    def __init__(self, models: Path, checkouts: Path) -> None:
        self._models = models
        self._checkouts = checkouts

    def digest(self, config: Config) -> str:
        return context.digest(config)

    def git(self, config: Config) -> GitState:
        return checkouts.look(config)

    def user(self, folder: Path) -> str | None:
        return git.user(folder)

    def snapshot(self, config: Config, app: str, version: str) -> None:
        """Copies the model folder; a version that was never live is copied anew.

        Raises:
            UsageError: the folder cannot be copied whole.
        """
        source, target = config.model_dir, self._models / app / version
        if source is None or source == target:
            return
        temporary = target.with_name(f".{version}{TEMPORARY}")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, temporary, symlinks=True)
            self.drop_snapshot(app, version)
            temporary.rename(target)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise UsageError(
                f"model.path: {source} could not be copied",
                why=str(error),
                hint="is the disk full?",
            ) from error

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

        Weights come from the version's snapshot, if that is kept, else from the commit too.

        Raises:
            DeploymentFailed: there is no such commit any more.
        """
        assert version.git_commit is not None, "only what has a commit is built from it"
        kept = self._models / version.app / version.name
        with checkouts.checkout(config, version.git_commit, self._checkouts) as found:
            try:
                building = found.building(config, kept if self.has_snapshot(version.app, version.name) else None)
            except UsageError as error:
                raise DeploymentFailed(error.message, why=error.why, hint=error.hint) from error
            yield building

    def tag(self, config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
        return checkouts.tag(config, name, commit, message, author)

    def drop_snapshot(self, app: str, version: str) -> None:
        """Removes a version's snapshot, if it has one: at once by name, so that no half of one is ever taken for it."""
        target = self._models / app / version
        doomed = target.with_name(f".{version}.old{TEMPORARY}")
        shutil.rmtree(doomed, ignore_errors=True)
        try:
            target.rename(doomed)
        except FileNotFoundError:
            return
        except OSError:
            doomed = target  # nothing can be renamed where nothing can be written; then it stays whole as well
        shutil.rmtree(doomed, ignore_errors=True)

    def tidy(self, app: str) -> None:
        """Removes what a crash left of copies that were being made or removed: it may be as large as the model."""
        for path in (self._models / app).glob(f".*{TEMPORARY}"):
            shutil.rmtree(path, ignore_errors=True)
        checkouts.tidy(self._checkouts, app)

    def has_snapshot(self, app: str, version: str) -> bool:
        return (self._models / app / version).is_dir()


def os_user() -> str:
    """The login name of whoever runs this."""
    import pwd

    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
