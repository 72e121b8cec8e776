"""Git, behind the port `SourceControl`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.git import checkouts, repository
from orchestrator.errors import GitError, UsageError

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.domain.version.version import Commit, GitState, Version


class GitSourceControl:
    """The repositories of apps; checkouts are made below one folder. See `SourceControl`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def state(self, config: Config) -> GitState:
        return checkouts.state(config)

    def user(self, folder: Path) -> str | None:
        return repository.user(folder)

    def resolve(self, config: Config, ref: str) -> str:
        return checkouts.commit(config, ref)

    @contextmanager
    def at(self, config: Config, commit: str) -> Iterator[tuple[Config | None, Config]]:
        with checkouts.checkout(config, commit, self._folder) as checkout:
            own = checkout.configuration(config)
            # Notifications are always those of the current file.
            yield own, checkout.building((own or config).model_copy(update={"notify": config.notify}))

    @contextmanager
    def checkout(self, config: Config, version: Version, weights: Path | None) -> Iterator[Config]:
        if version.git_commit is None:
            raise GitError(f"{version.name} has no commit", why="it was not built from a Git repository")
        with checkouts.checkout(config, version.git_commit, self._folder) as checkout:
            try:
                source = checkout.building(config, weights=weights, complete=False)
            except UsageError as error:
                raise GitError(error.message, why=error.why, hint=error.hint) from error
            if source.model_dir is not None and not source.model_dir.is_dir():
                raise GitError(
                    f"the model files of {version.name} are not available",
                    why=f"they are neither in the store nor in commit {version.git_commit[:10]}",
                    hint=f"restore them, and release the sources of {version.name} as a new version",
                )
            yield source

    def tag(self, config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
        return checkouts.tag(config, name, commit, message, author)

    def commits(self, folder: Path, before: str, after: str) -> list[Commit] | None:
        return repository.commits(folder, before, after)

    def tidy(self, app: str) -> None:
        checkouts.tidy(self._folder, app)
