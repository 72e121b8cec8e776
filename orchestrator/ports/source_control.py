"""The repository that an app's sources come from."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.domain.version.version import Commit, GitState, Version


class SourceControl(Protocol):
    """Commits, checkouts and tags. All methods may be repeated.

    The user's working tree, index, branches and stash are never changed. No hook runs, and no program that the
    repository's own configuration names. A folder without a repository is not an error where the result can express it.
    """

    def state(self, config: Config) -> GitState:
        """The commit, what differs from it in the app's files (context, model folder, deploy.toml), and the user."""

    def user(self, folder: Path) -> str | None:
        """The configured user as `Name <mail>`; None without one."""

    def resolve(self, config: Config, ref: str) -> str:
        """The full hash of the commit that a tag, a branch or an abbreviated hash names.

        Raises:
            UsageError: there is no such commit, or no repository.
        """

    def at(self, config: Config, commit: str) -> AbstractContextManager[tuple[Config | None, Config]]:
        """A clean checkout of a commit: the configuration in it, if there is one, and the one that builds from it.

        The checkout is removed when the context ends.

        Raises:
            GitError: the commit cannot be checked out.
            UsageError: it lacks files that are needed for the build, or its configuration is invalid.
        """

    def checkout(self, config: Config, version: Version, weights: Path | None) -> AbstractContextManager[Config]:
        """A clean checkout of a version's commit, as a configuration that builds from it.

        The model folder is `weights`, or the commit's own without them. The checkout is removed when the context ends.

        Raises:
            GitError: the version has no commit, it cannot be checked out, or it lacks files.
        """

    def tag(self, config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
        """Writes an annotated tag; returns whether it was written, and if not, why, in words.

        (False, "") when the tag exists at this commit already. A tag is never moved.
        """

    def commits(self, folder: Path, before: str, after: str) -> list[Commit] | None:
        """The commits from `before` to `after`, without `before`, newest first; None when one of them is unknown."""

    def tidy(self, app: str) -> None:
        """Removes the checkouts of an app that no command uses any more."""
