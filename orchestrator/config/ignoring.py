"""Which files of the build context are not sent to the builder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.config.sections import Config


def ignore_file(config: Config) -> Path:
    """The file that says it: NAME.dockerignore beside the Dockerfile NAME, else `.dockerignore` in the context.

    Docker's builder looks in this order (docs.docker.com/build/concepts/context, "Filename and location"); here the
    classic builder does as well, so that a version is the same whatever builds it. The second need not be there.
    """
    dockerfile = config.dockerfile_path
    own = dockerfile.with_name(dockerfile.name + ".dockerignore")
    return own if own.is_file() else config.context_dir / ".dockerignore"


def ignore_patterns(config: Config) -> list[str]:
    """The patterns in that file; none without it.

    Raises:
        OSError: the file is there and cannot be read.
    """
    file = ignore_file(config)
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
