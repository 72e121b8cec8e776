"""Which files of the build context are not sent to the builder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.files import read_small

if TYPE_CHECKING:
    from orchestrator.config.config import Config


def ignore_file(config: Config) -> Path:
    """The ignore file: NAME.dockerignore beside the Dockerfile NAME, else `.dockerignore` in the context.

    This is the order of Docker's builder (docs.docker.com/build/concepts/context, "Filename and location"). It also
    applies to the classic builder, so that both build the same version. The second file may not exist.
    """
    dockerfile = config.dockerfile_path
    own = dockerfile.with_name(dockerfile.name + ".dockerignore")
    return own if own.is_file() else config.context_dir / ".dockerignore"


def ignore_patterns(config: Config) -> list[str]:
    """The patterns in the ignore file; none without one.

    Raises:
        OSError: the file exists and cannot be read.
    """
    file = ignore_file(config)
    if not file.is_file():
        return []
    lines = read_small(file).decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
