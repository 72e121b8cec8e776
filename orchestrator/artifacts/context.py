"""What a version is built from, as one digest: the build context as Docker sees it, and the model's files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.config import Config
from orchestrator.errors import UsageError


def digest(config: Config) -> str:
    """`sha256:…` over every file's path, kind, executable bit and content, and the build's arguments.

    `.dockerignore` applies; deploy.toml itself and `.git` do not count. Times and owners do not count either: a
    fresh checkout of the same commit is the same.

    Raises:
        UsageError: a file cannot be read.
    """
    total = hashlib.sha256()
    build = config.build
    _add(
        total,
        "build",
        build.dockerfile,
        build.target or "",
        *(f"{k}={v}" for k, v in sorted(build.args.items())),
    )
    try:
        own = config.base / Path(config.source).name
        for name in _context_files(config):
            # What is configured here and matters to the image is counted above; a longer keep_warm makes no version.
            if config.context_dir / name == own:
                continue
            _add(total, "context", name, *_facts(config.context_dir / name))
        if config.model_dir is not None:
            for path in sorted(config.model_dir.rglob("*")):
                if not path.is_dir() and ".git" not in path.relative_to(config.model_dir).parts:
                    _add(total, "model", str(path.relative_to(config.model_dir)), *_facts(path))
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be read",
            why=str(error.strerror),
            hint="mend its permissions, or ignore it",
        ) from error
    return f"sha256:{total.hexdigest()}"


def _context_files(config: Config) -> Iterator[str]:
    from docker.utils.build import exclude_paths

    ignore = config.context_dir / ".dockerignore"
    patterns: list[str] = []
    if ignore.is_file():
        lines = ignore.read_text(encoding="utf-8", errors="replace").splitlines()
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    names: Iterable[str] = exclude_paths(str(config.context_dir), patterns, dockerfile=config.build.dockerfile)
    for name in sorted(names):
        # Every look by Git changes files in there, and a worktree has a file in its place, as submodules do.
        if ".git" in Path(name).parts:
            continue
        if (config.context_dir / name).is_symlink() or not (config.context_dir / name).is_dir():
            yield name


def _facts(path: Path) -> tuple[str, ...]:
    if path.is_symlink():
        return ("link", str(path.readlink()))
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return ("special", str(stat.S_IFMT(status.st_mode)))
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return ("file", "x" if status.st_mode & stat.S_IXUSR else "-", content)


def _add(total: hashlib._Hash, *fields: str) -> None:
    # Every field with its length: no two lists of fields give the same bytes.
    for field in fields:
        data = os.fsencode(field)
        total.update(len(data).to_bytes(8, "big") + data)
    total.update(b"\n")
