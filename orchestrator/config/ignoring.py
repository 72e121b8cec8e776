"""Which files of the build context are not sent to the builder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
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
    return own if own.exists() else config.context_dir / ".dockerignore"


def ignore_patterns(config: Config) -> tuple[str, ...]:
    """The patterns of all files that no builder gets: those in the ignore file, and ours behind them.

    Raises:
        UsageError: the ignore file cannot be read, or a pattern in it is invalid.
    """
    file = ignore_file(config)
    try:
        patterns = read(read_small(file)) if file.exists() else []
        Ignoring(patterns)
    except OSError as error:
        raise UsageError(
            f"{printable(file)} cannot be read",
            why=error.strerror or str(error),
            hint="make it a file that this user can read, or remove it",
        ) from error
    except BadPattern as error:
        raise UsageError(
            f"{printable(file)}: the pattern {printable(error.pattern)!r} is invalid",
            why=str(error),
            hint="write it as docs.docker.com/build/concepts/context describes",
        ) from error
    own = [pattern for path in withheld(config) for pattern in literal(path)]
    return (*patterns, *_NEVER, *own)


def model_patterns(config: Config) -> tuple[str, ...]:
    """The patterns of the files in the model folder that are no part of a version."""
    return (*read("\n".join(config.model.ignore if config.model else ()).encode()), *_NEVER)


def withheld(config: Config) -> dict[str, str]:
    """The paths in the context that are not sent although no pattern names them, and what each is, in words.

    These are deploy.toml, the model folder and the volumes, which containers see in another way, and the file that
    this program's own output goes to, which changes while it is read.
    """
    # Resolved, so that a checkout of the same commit has the same files.
    found = {config.base.resolve() / Path(config.source).name: "deploy.toml"}
    named = [(config.model_dir, "model.path")] if config.model_dir else []
    named += [(Path(volume.split(":")[0]), "run.volumes") for volume in config.run.volumes if volume.startswith("/")]
    for path, key in named:
        found |= {path.parent.resolve() / path.name: key, path.resolve(): key}
    found |= dict.fromkeys(_outputs(), "the output of this command")
    context = config.context_dir.resolve()
    names = ((os.path.relpath(path, context), what) for path, what in found.items())
    return {name: what for name, what in names if name != "." and not name.startswith("../") and name != ".."}


def _outputs() -> Iterator[Path]:
    """The files that standard output and standard error are redirected to."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                yield Path(f"/proc/self/fd/{descriptor}").readlink()
