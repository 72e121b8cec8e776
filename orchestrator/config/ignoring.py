"""Which files of the build context are not sent to the builder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.config.sections import Config


def ignore_patterns(config: Config) -> list[str]:
    """The patterns that leave files out: of NAME.dockerignore beside the Dockerfile NAME, else of `.dockerignore`.

    Docker's builder reads them in this order (docs.docker.com/build/concepts/context, "Filename and location"); here
    the classic builder does as well, so that a version is the same whatever builds it.

    Raises:
        OSError: the file is there and cannot be read.
    """
    dockerfile = config.dockerfile_path
    for file in (dockerfile.with_name(dockerfile.name + ".dockerignore"), config.context_dir / ".dockerignore"):
        if file.is_file():
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return []
