"""Which files of the build context are not sent to the builder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.explain import printable
from orchestrator.domain.version.ignoring import BadPattern, Ignoring, literal, read
from orchestrator.errors import UsageError
from orchestrator.files import read_small

if TYPE_CHECKING:
    from orchestrator.config.config import Config

# Git's own folder changes with every command of Git, and has the whole history.
_NEVER = ("**/.git", "**/.git/**")


def ignore_file(config: Config) -> Path:
    """The ignore file: NAME.dockerignore beside the Dockerfile NAME, else `.dockerignore` in the context.

    This is the order of Docker's builder (docs.docker.com/build/concepts/context, "Filename and location"). It also
    applies to the classic builder, so that both build the same version. The second file may not exist.
    """
    dockerfile = config.dockerfile_path
    own = dockerfile.with_name(dockerfile.name + ".dockerignore")
    return own if own.is_file() else config.context_dir / ".dockerignore"


def ignore_patterns(config: Config) -> tuple[str, ...]:
    """The patterns of all files that no builder gets: those in the ignore file, and ours behind them.

    Raises:
        UsageError: the ignore file cannot be read, or a pattern in it is invalid.
    """
    file = ignore_file(config)
    try:
        patterns = read(read_small(file)) if file.is_file() else []
        Ignoring(patterns)
    except OSError as error:
        raise UsageError(f"{printable(file)} cannot be read", why=error.strerror or str(error)) from error
    except BadPattern as error:
        raise UsageError(
            f"{printable(file)}: the pattern {printable(error.pattern)!r} is invalid",
            why=str(error),
            hint="write it as docs.docker.com/build/concepts/context describes",
        ) from error
    own = [pattern for path in withheld(config) for pattern in literal(path)]
    return (*patterns, *_NEVER, *own)


def withheld(config: Config) -> list[str]:
    """The paths in the context that are not sent although no pattern names them: deploy.toml."""
    # Resolved, so that a checkout of the same commit has the same files.
    context = config.context_dir.resolve()
    paths = [config.base.resolve() / Path(config.source).name]
    names = (os.path.relpath(path, context) for path in paths)
    return [name for name in names if name != "." and not name.startswith("..")]
