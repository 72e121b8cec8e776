"""The build context on the disk: what builders get of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.domain.version.ignoring import Folder, Ignoring
from orchestrator.frozen import frozen


@frozen
class Entry:
    """A file, a folder, or anything else in the context. `path` is relative to it, with `/`; links are not followed."""

    path: str
    status: os.stat_result
    is_folder: bool = False


def entries(context: Path, patterns: Iterable[str], dockerfile: str) -> Iterator[Entry]:
    """What builders get, in order and each folder before its content: everything that the patterns do not ignore, the
    folders that it is in, and the Dockerfile in any case.

    Raises:
        BadPattern: a pattern is invalid.
        OSError: something cannot be read; an ignored folder without permission is skipped.
    """
    ignoring = Ignoring(patterns)
    return _below(f"{context}/", "", ignoring, ignoring.root, dockerfile)


def _below(context: str, path: str, ignoring: Ignoring, folder: Folder, dockerfile: str) -> Iterator[Entry]:
    try:
        with os.scandir(context + path) as found:
            items = sorted(found, key=lambda item: item.name)
    except PermissionError:
        if folder.ignored:
            return
        raise
    for item in items:
        name = path + item.name
        if not item.is_dir(follow_symlinks=False):
            if not folder.ignores(name) or name == dockerfile:
                yield Entry(name, item.stat(follow_symlinks=False))
            continue
        inner = ignoring.enter(folder, name)
        if inner.ignored and not ignoring.excepts(name) and not dockerfile.startswith(f"{name}/"):
            continue
        content = _below(context, f"{name}/", ignoring, inner, dockerfile)
        first = next(content, None)
        if first is not None or not inner.ignored:
            yield Entry(name, item.stat(follow_symlinks=False), is_folder=True)
        if first is not None:
            yield first
            yield from content
