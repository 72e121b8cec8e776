"""Runs deployctl with an image of the proxy that is built within a second: `upgrading.py CRASH ARGUMENTS…`.

It begins with the image that the proxy has, instead of Debian's; the lines in $UPGRADE_LINES follow. CRASH is empty,
or `before:NAME` or `acted:NAME`: the process is killed with SIGKILL there. NAME is a method that replaces the proxy,
with a number when it is not the first call: `acted:rename.2`. A proxy that is started, not upgraded, has the image
$UPGRADE_FROM, if it is set.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import docker

from orchestrator.adapters.docker.host_containers import DockerHostContainers
from orchestrator.adapters.docker.host_images import DockerHostImages
from orchestrator.adapters.haproxy import container
from orchestrator.adapters.haproxy.container import image_tag, shipped
from orchestrator.adapters.haproxy.sockets import Sockets
from orchestrator.cli.main import main
from orchestrator.domain.rollout.workload import HostContainerSpec, HostImage
from orchestrator.ports.progress import Progress
from tests.engine.harness import engine

LINES = "UPGRADE_LINES"
FROM = "UPGRADE_FROM"
_PARTS = (Sockets, DockerHostContainers, DockerHostImages)
_build, _name = DockerHostImages.build, DockerHostImages.name


class QuickImages(DockerHostImages):
    """Images of the proxy that begin with the one that there is. `lines` are more lines of the Dockerfile."""

    lines = ""

    def build(self, spec: HostContainerSpec, name: str, progress: Progress) -> HostImage:
        lines = os.environ.get(LINES, self.lines)
        dockerfile = f"FROM {_base()}\nLABEL upgrade={os.urandom(4).hex()}\n{lines}\n"
        return _build(self, replace(spec, dockerfile=dockerfile, bases={}), name, progress)

    def name(self, image_id: str, name: str) -> None:
        # The name itself stays that of the image which parallel tests use.
        _name(self, image_id, named(name))


def named(name: str) -> str:
    """The name of an upgraded image: of this process, or of that which has started it."""
    return f"{name}-{os.environ.get('UPGRADE_OF', os.getpid())}"


def remove_images() -> None:
    """Removes the image of the last upgrade of this process."""
    with suppress(docker.errors.APIError):
        engine().images.remove(named(image_tag()))


def older_image() -> str:
    """The proxy's image with the HAProxy of Debian 12, version 2.6; it is built at first use."""
    found = [f"deployctl-proxy-{name}:{image_tag().partition(':')[2]}" for name in ("older", "older-test")]
    try:
        engine().images.get(found[0])
    except docker.errors.ImageNotFound:
        # Two names, so that no upgrade removes it.
        tags = [argument for name in found for argument in ("-t", name)]
        command = ["docker", "build", "-q", *tags, "--build-arg", "BASE=deployctl-base:bookworm", "-"]
        subprocess.run(command, input=shipped("Dockerfile"), text=True, check=True, capture_output=True)
    return found[0]


def _base() -> str:
    """The proxy's image under a second name, so that no upgrade removes it."""
    repository, _, tag = image_tag().partition(":")
    engine().images.get(image_tag()).tag(f"{repository}-test", tag)
    return f"{repository}-test:{tag}"


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
    DockerHostImages.build, DockerHostImages.name = QuickImages.build, QuickImages.name  # type: ignore[method-assign]
    DockerHostImages.lines = ""  # type: ignore[attr-defined]
    if where:
        kill_at(where)
    if os.environ.get(FROM):
        container.image_tag = lambda: os.environ[FROM]
    main()
