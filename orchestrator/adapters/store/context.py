"""The source files of a version: the build context as Docker sees it, and the model folder.

deploy.toml and `.git` are ignored: a changed keep_warm is not a new version, and Git commands change files in `.git`.
Empty folders of the context are not part of a version.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from orchestrator.config import Config, ignore_patterns, printable
from orchestrator.config.context import entries
from orchestrator.config.ignoring import model_patterns
from orchestrator.domain.version.manifest import CONTEXT, MODEL
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen


@frozen
class SourceFile:
    """A file, a symlink (`target` is not None), or an empty folder: its path in the manifest, and its path on disk.

    `follows` is the path of a file outside of the model folder, whose content is taken in place of a link to it.
    """

    path: str
    place: Path
    status: os.stat_result
    target: str | None = None
    follows: Path | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is an empty folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def mode(self) -> str:
        """The mode as Git records it."""
        return "0755" if self.status.st_mode & stat.S_IXUSR else "0644"


def facts(config: Config) -> dict[str, str]:
    """The build settings of an image. Of the arguments only the digest, because manifests may be shared."""
    build = config.build
    arguments = hashlib.sha256(json.dumps(sorted(build.args.items())).encode()).hexdigest()
    return {"dockerfile": build.dockerfile, "target": build.target or "", "args": arguments}


def sources(config: Config, checkouts: Path, *, built: bool = True) -> list[SourceFile]:
    """All files and links of the context, if an image is `built` from it, and of the model's folder.

    `checkouts` is the folder of temporary checkouts.

    Raises:
        UsageError: a file cannot be read, or cannot be part of a version.
    """
    try:
        files = [*(_context(config) if built else ()), *model(config, checkouts)]
    except OSError as error:
        raise unreadable(error) from error
    for source in files:
        try:
            f"{source.path}{source.target}".encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"the name of {printable(source.place)}, or its target, is not UTF-8",
                hint="rename the file, or add it to .dockerignore",
            ) from error
    return files


def unreadable(error: OSError) -> UsageError:
    """The error for a source that cannot be read."""
    why = str(error.strerror)
    return UsageError(
        f"{error.filename} cannot be read", why=why, hint="fix its permissions, or add it to .dockerignore"
    )


def _context(config: Config) -> Iterator[SourceFile]:
    for entry in entries(config.context_dir, ignore_patterns(config), config.build.dockerfile):
        place = config.context_dir / entry.path
        if stat.S_ISLNK(entry.status.st_mode):
            yield SourceFile(CONTEXT + entry.path, place, entry.status, str(place.readlink()))
        elif stat.S_ISREG(entry.status.st_mode):
            yield SourceFile(CONTEXT + entry.path, place, entry.status)


def model(config: Config, checkouts: Path) -> list[SourceFile]:
    """All files, links and empty folders of the model folder; none without one.

    `checkouts` is the folder of temporary checkouts.

    Raises:
        OSError: a file cannot be read.
        UsageError: a file cannot be part of a version.
    """
    if config.model_dir is None:
        return []
    files = list(_model(config, config.model_dir, checkouts))
    if all(source.is_folder for source in files):
        raise UsageError(f"model.path: {printable(config.model_dir)} is empty", hint="copy the weights into it")
    return files


def _model(config: Config, folder: Path, checkouts: Path) -> Iterator[SourceFile]:
    if not folder.is_dir():
        raise UsageError(
            f"model.path: {printable(folder)} is not a folder", hint="set it to the folder with the weights"
        )

    commit = _checkout(folder, checkouts)
    for entry in entries(folder, model_patterns(config), ""):
        place, path = folder / entry.path, MODEL + entry.path
        status, follows = entry.status, None
        if entry.is_folder:
            # Servers look for folders: an ensemble of Triton has one without files, for example.
            if not any(place.iterdir()):
                yield SourceFile(path, place, status)
            continue
        if stat.S_ISLNK(status.st_mode):
            if _leads_inside(folder, place):
                yield SourceFile(path, place, status, str(place.readlink()))
                continue
            # A downloaded model is often a folder of symlinks into a cache, which containers do not see.
            status, follows = place.stat(), place.resolve()
            if commit is not None and not follows.is_relative_to(commit):
                raise UsageError(
                    f"model.path: {printable(entry.path)} is a symlink to {printable(follows)}",
                    why="the commit does not contain that file: it is one of this host",
                    hint="commit the file itself, or release without --ref",
                )
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(
                f"model.path: {printable(place)} cannot be part of a version",
                why="it is a symlink to a folder outside, or a device, a pipe or a socket",
                hint="remove it from the folder, replace it with a copy of its target, or name it in model.ignore",
            )
        yield SourceFile(path, place, status, follows=follows)


def _checkout(folder: Path, checkouts: Path) -> Path | None:
    """The checkout that a folder is in, without symlinks; None when it is in none."""
    real, root = folder.resolve(), checkouts.resolve()
    if not real.is_relative_to(root):
        return None
    # A checkout is two folders below: see `adapters/git/checkouts.py`.
    return root.joinpath(*real.relative_to(root).parts[:2])


def _leads_inside(folder: Path, link: Path) -> bool:
    """Whether a symlink works in a copy of the folder: no part of its path leaves the folder.

    If its target is a symlink, that one is checked separately.
    """
    target = link.readlink()
    depth = len(link.relative_to(folder).parts) - 1
    for part in target.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return not target.is_absolute()
