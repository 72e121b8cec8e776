"""Runs deployctl with an image of the proxy that is built within a second: `upgrading.py CRASH ARGUMENTS…`.

It begins with the image that the proxy has, instead of Debian's; the lines in $UPGRADE_LINES follow. CRASH is empty,
or `before:NAME` or `acted:NAME`: the process is killed with SIGKILL there. NAME is a method that replaces the proxy,
with a number when it is not the first call: `acted:rename.2`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

from orchestrator.adapters.docker.host_containers import DockerHostContainers
from orchestrator.adapters.docker.host_images import DockerHostImages
from orchestrator.adapters.haproxy.container import image_tag
from orchestrator.adapters.haproxy.sockets import Sockets
from orchestrator.cli.main import main
from orchestrator.domain.rollout.workload import HostContainerSpec, HostImage
from orchestrator.ports.progress import Progress

LINES = "UPGRADE_LINES"
_PARTS = (Sockets, DockerHostContainers, DockerHostImages)


_build = DockerHostImages.build


class QuickImages(DockerHostImages):
    """Images of the proxy that begin with the one that there is. `lines` are more lines of the Dockerfile."""

    lines = ""

    def build(self, spec: HostContainerSpec, name: str, progress: Progress) -> HostImage:
        return _build(self, quick(spec, self.lines), name, progress)


def quick(spec: HostContainerSpec, lines: str) -> HostContainerSpec:
    dockerfile = f"FROM {image_tag()}\nLABEL upgrade={os.urandom(4).hex()}\n{lines}\n"
    return replace(spec, dockerfile=dockerfile, bases={})


def build(images: DockerHostImages, spec: HostContainerSpec, name: str, progress: Progress) -> HostImage:
    return _build(images, quick(spec, os.environ.get(LINES, "")), name, progress)


def kill_at(crash: str) -> None:
    """Kills this process before or after a call."""
    when, _, target = crash.partition(":")
    name, _, number = target.partition(".")
    part = next(part for part in _PARTS if hasattr(part, name))
    real, calls = getattr(part, name), Counter[str]()

    def around(*arguments: Any, **named: Any) -> Any:
        calls[name] += 1
        here = calls[name] == int(number or 1)
        if here and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **named)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(part, name, around)


if __name__ == "__main__":
    where = sys.argv.pop(1)
    DockerHostImages.build = build  # type: ignore[method-assign]
    if where:
        kill_at(where)
    main()
