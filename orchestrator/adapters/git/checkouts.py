"""Clean checkouts: the sources of an app at a commit, in a temporary worktree.

    checkouts/mymodel.k2x9/mymodel.k2x9  the worktree, with a unique name
    checkouts/mymodel.k2x9/repository    the path of its repository, to remove the worktree from its list

The process that uses a checkout holds a kernel lock on its folder. Without a lock, it was left by a killed command.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.adapters.git import repository as git
from orchestrator.adapters.git import worktrees
from orchestrator.adapters.git.repository import NoRepository, Repository
from orchestrator.config import Config, printable
from orchestrator.config.reading import load_elsewhere
from orchestrator.domain.version.version import GitState
from orchestrator.errors import GitError, UsageError
from orchestrator.files import FOREVER, lock, open_folder

_WEIGHTS = "commit the weights (with Git LFS, for example), or keep them elsewhere and use an absolute path"


def repository(config: Config) -> Repository:
    """The repository that contains the build context: that of deploy.toml, or else the context's own.

    Raises:
        NoRepository: there is none.
    """
    context = config.context_dir.resolve()
    missing = None
    for folder in (config.base, config.context_dir):
        try:
            candidate = git.find(folder)
        except NoRepository as error:
            missing = missing or error
            if error.refused:
                raise
            continue
        if context.is_relative_to(candidate.top):
            return candidate
    raise missing or NoRepository(f"{config.context_dir} is not in a Git repository")


def state(config: Config) -> GitState:
    """The commit, the files of the app that differ from it (context, model folder, deploy.toml), and the user."""
    user = git.user(config.base)
    try:
        own = repository(config)
    except NoRepository as error:
        return GitState(user=user, missing=error.why, hint=error.hint, refused=error.refused)
    paths = [config.context_dir, own_file(config), *([config.model_dir] if config.model_dir else [])]
    inside = [place for place in (_tracked(own, path) for path in paths) if place is not None]
    status = git.status(own, inside)
    if status is None:
        return GitState(user=user, missing=f"git status fails in {own.top}")
    if status.commit is None:
        return GitState(None, bool(status.changed), user, missing=f"{own.top} has no commit yet")
    return GitState(status.commit, bool(status.changed), user, changed=status.changed)


def commit(config: Config, ref: str) -> str:
    """The commit that a tag, a branch or an abbreviated hash names.

    Raises:
        UsageError: there is no such commit, or no repository.
    """
    try:
        return git.resolve(repository(config), ref)
    except NoRepository as error:
        raise UsageError(
            "--ref needs a Git repository", why=error.why, hint=error.hint or "release without --ref"
        ) from None


@contextmanager
def checkout(config: Config, commit: str, place: Path) -> Iterator[Checkout]:
    """A checkout of a commit below the folder `place`, which is removed at the end.

    The user's own tree, index, branch and stash are not touched, and no hook runs.

    Raises:
        GitError: Git cannot provide it.
    """
    try:
        source = repository(config)
    except NoRepository as error:
        raise GitError(
            f"commit {commit[:10]} cannot be fetched",
            why=error.why,
            hint=error.hint or "restore the repository at its path",
        ) from None
    with _claimed(place, config.app.name) as own:
        (own / "repository").write_bytes(os.fsencode(source.top))
        worktrees.add(source.top, commit, own / own.name)
        yield Checkout(source, own / own.name, commit)


def tidy(place: Path, app: str) -> None:
    """Removes the checkouts of an app that no command uses any more."""
    # App names contain no dots.
    for own in place.glob(f"{app}.*"):
        try:
            descriptor = open_folder(own)
        except OSError:
            continue
        try:
            if lock(descriptor):  # else another command uses it
                _remove(own)
        except OSError:
            continue  # the file system does not support locks
        finally:
            os.close(descriptor)


class Checkout:
    """A commit in a folder of its own."""

    def __init__(self, repository: Repository, place: Path, commit: str) -> None:
        self._top, self._place, self._commit = repository.top, place, commit

    def configuration(self, config: Config) -> Config | None:
        """The deploy.toml of the commit, with paths resolved as if it replaced the current one; None if it has none.

        Raises:
            UsageError: it is invalid.
        """
        file = self._moved(own_file(config), config.base)
        if file is None or not file.is_file():
            return None
        if not file.resolve().is_relative_to(self._place.resolve()):
            raise UsageError(
                f"the {file.name} of commit {self._commit[:10]} cannot be used",
                why="it is a symlink that leads out of the commit",
                hint="release a commit with the file itself",
            )
        try:
            return load_elsewhere(file, config.base, config.source)
        except UsageError as error:
            raise UsageError(
                f"the {file.name} of commit {self._commit[:10]} cannot be used",
                why=error.message.replace(str(file), file.name),
                hint="release a commit with a valid file",
                details=error.details,
            ) from None

    def building(self, config: Config, *, weights: Path | None = None, complete: bool = True) -> Config:
        """The configuration that builds from this checkout. Paths outside the repository do not change.

        `weights` is a folder to use instead of the one in the commit. With `complete` one of them must exist.

        Raises:
            UsageError: the commit lacks a folder that the build needs.
        """
        settings: dict[str, Any] = config.snapshot()
        context = self._moved(config.context_dir, config.base)
        if context is None:
            raise UsageError(
                f"build.context: {printable(config.context_dir)} is outside the repository {self._top}",
                why="a commit does not contain it",
            )
        self._check_folder(context, "build.context", config.context_dir, "commit it, or release another commit")
        settings["build"] = {**settings["build"], "context": str(context)}
        if config.model_dir is not None:
            model = weights or self._moved(config.model_dir, config.base)
            if complete and model is not None and model != weights:
                self._check_folder(model, "model.path", config.model_dir, _WEIGHTS)
            settings["model"] = {**settings["model"], "path": str(model or config.model_dir)}
        # They are not mounted from here, but what they name in the context is not sent to the builder.
        settings["run"] = {**settings["run"], "volumes": [self._volume(config, text) for text in config.run.volumes]}
        base = self._moved(config.base, config.base)
        moved = Config.from_snapshot({**settings, "base": str(base or config.base)})
        return moved.model_copy(update={"notify": config.notify})

    def _volume(self, config: Config, volume: str) -> str:
        source, *rest = volume.split(":")
        moved = self._moved(Path(source), config.base) if source.startswith("/") else None
        return ":".join([str(moved or source), *rest])

    def _moved(self, path: Path, base: Path) -> Path | None:
        """The path in this checkout that corresponds to a path in the user's tree; None outside the repository.

        The path is not resolved: symlinks of the commit are used, not the current ones.
        """
        root = base.resolve()
        if path.is_relative_to(base) and root.is_relative_to(self._top):
            return self._place / root.relative_to(self._top) / path.relative_to(base)
        for known in (path, path.resolve()):
            if known.is_relative_to(self._top):
                return self._place / known.relative_to(self._top)
        return None

    def _check_folder(self, folder: Path, key: str, path: Path, hint: str) -> None:
        real = folder.resolve()
        if real.is_relative_to(self._top) and not real.is_relative_to(self._place):
            why = f"a symlink of the commit leads to {self._top}, which may have changed since"
        elif key == "build.context" and real.is_dir() and not real.is_relative_to(self._place.resolve()):
            why = f"a symlink of the commit leads to {real}, which the commit does not contain"
        elif not real.is_dir():
            why = f"it is in the repository {self._top}, and this commit does not contain it"
        else:
            return
        raise UsageError(f"{key}: commit {self._commit[:10]} has no {printable(path)}", why=why, hint=hint)


def own_file(config: Config) -> Path:
    """The path of deploy.toml."""
    return config.base / Path(config.source).name


def tag(config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
    """Creates an annotated tag. Returns whether it was created, and why not (empty if it is already at this commit)."""
    try:
        return git.tag(repository(config), name, commit, message, author)
    except NoRepository as error:
        return False, error.why


def _tracked(repository: Repository, path: Path) -> Path | None:
    """The path to pass to Git: with symlinks resolved, and for a path in a submodule the submodule."""
    real = path.resolve()
    if not real.is_relative_to(repository.top):
        # It may be a symlink that Git tracks itself.
        real = path.parent.resolve() / path.name
        return real if real.is_relative_to(repository.top) else None
    tracked = real
    for folder in (real, *real.parents):
        if folder == repository.top:
            break
        if (folder / ".git").exists():
            tracked = folder
    return tracked


@contextmanager
def _claimed(place: Path, app: str) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    while True:
        own = Path(tempfile.mkdtemp(prefix=f"{app}.", dir=place))
        try:
            descriptor = open_folder(own)
        except FileNotFoundError:
            continue  # another command removed it as a leftover before the lock was taken
        lock(descriptor, wait=FOREVER)
        if own.exists():
            break
        os.close(descriptor)
    try:
        yield own
    finally:
        _remove(own)
        os.close(descriptor)


def _remove(own: Path) -> None:
    tree = own / own.name
    shutil.rmtree(tree, ignore_errors=True)
    try:
        top = (own / "repository").read_bytes()
    except OSError:
        top = b""
    if top:
        worktrees.forget(Path(os.fsdecode(top)), tree)
    shutil.rmtree(own, ignore_errors=True)
