"""The container that HAProxy runs in: on the host's network, always restarted, with a mounted folder.

It uses the host's network because a published port reduces the throughput of loopback clients, and mounts the folder
because a mounted file would not change when a rename replaces it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Literal

from orchestrator.adapters.haproxy.names import FOLDER
from orchestrator.domain.naming import LABEL_ROLE, Names
from orchestrator.domain.rollout.workload import HostContainerSpec, HostImage
from orchestrator.errors import BuildFailed, EngineError, EngineUnreachable, ProxyError
from orchestrator.ports.host_containers import HostContainers
from orchestrator.ports.host_images import HostImages
from orchestrator.ports.progress import Progress

LOCAL_BASE = "deployctl-base:trixie"
PUBLIC_BASE = "debian:trixie-slim"


def shipped(name: str) -> str:
    """The text of a file of compose/proxy, from the wheel or from a checkout."""
    packaged = resources.files("orchestrator") / "_compose" / "proxy" / name
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "compose" / "proxy" / name).read_text(encoding="utf-8")


def image_tag() -> str:
    """The name of the proxy's image: it depends on the Dockerfile."""
    return f"deployctl-proxy:{hashlib.sha256(shipped('Dockerfile').encode()).hexdigest()[:12]}"


# The name of a container while it is about to replace the proxy, and of one that was replaced.
Role = Literal["", "-next", "-previous"]
CURRENT: Role = ""
NEXT: Role = "-next"
PREVIOUS: Role = "-previous"
ROLES = (NEXT, CURRENT, PREVIOUS)


class ProxyContainer:
    """Starts, checks and removes the proxy's container. `folder` is the proxy's, and is mounted.

    While a proxy is replaced there are two containers, which their names tell apart: see `Role`. Every method raises
    ProxyError when the engine rejects a request, and EngineUnreachable when it does not answer.
    """

    def __init__(self, containers: HostContainers, images: HostImages, names: Names, folder: Path) -> None:
        self._containers = containers
        self._images = images
        self._names = names
        self._folder = folder

    def name(self, role: Role = CURRENT) -> str:
        """The name of a container."""
        return f"{self._names.proxy}{role}"

    def state(self, role: Role = CURRENT) -> str:
        """`running`, `missing`, or what the engine says of a container that does not run."""
        with _proxy_errors():
            return self._containers.state(self.name(role))

    def start(self, report: Callable[[str], None], role: Role = CURRENT) -> None:
        """Starts the container. Builds its image at first use, and then calls `report`."""
        with _proxy_errors(), self._build_errors() as base:
            self._containers.start(self._spec(base, role), report)

    def remove(self, role: Role = CURRENT) -> bool:
        """Removes the container; False when there was none."""
        with _proxy_errors():
            return self._containers.remove(self.name(role))

    def restart(self) -> None:
        """Stops the proxy within a second and starts it again. Does nothing if it is missing."""
        with _proxy_errors():
            self._containers.restart(self.name())

    def check(self, file: str) -> str:
        """The output of `haproxy -c` for a configuration in the folder; empty when it is valid.

        Raises:
            ProxyError: the proxy does not run.
        """
        with _proxy_errors(hint="deployctl proxy up"):
            # Not -q, which also hides the reason.
            code, output = self._containers.execute(self.name(), ["haproxy", "-c", "-f", f"{FOLDER}/{file}"])
        return "" if code == 0 else output.strip() or f"exit code {code}"

    def logs(self, tail: int, role: Role = CURRENT) -> list[str]:
        """The last `tail` lines of the proxy's output."""
        with _proxy_errors():
            return self._containers.logs(self.name(role), tail)

    # Another container

    def create(self, image: str, role: Role) -> None:
        """Creates a container from an image, without starting it. The engine does not restart it."""
        with _proxy_errors(), self._build_errors() as base:
            self._containers.create(replace(self._spec(base, role), image=image))

    def rename(self, role: Role, to: Role) -> None:
        """Gives a container another role; it goes on running."""
        with _proxy_errors():
            self._containers.rename(self.name(role), self.name(to))

    def keep_running(self, role: Role, *, keep: bool) -> None:
        """Sets whether the engine restarts a container whenever it ends."""
        with _proxy_errors():
            self._containers.keep_running(self.name(role), keep=keep)

    def finish(self, role: Role) -> None:
        """Asks the proxy in a container to finish what is open, and then to end. It accepts no connection any more."""
        with _proxy_errors():
            self._containers.finish(self.name(role))

    # Images

    def build(self, progress: Progress) -> str:
        """Builds the image anew; returns its id. Its name is that of an image that no proxy uses yet: see `adopt`."""
        with _proxy_errors(), self._build_errors() as base:
            before = self._images.find(self._built)
            image = self._images.build(self._spec(base, CURRENT), self._built, progress)
            if before is not None and before.id != image.id:
                self._images.remove(before.id)  # an upgrade that was killed has left it
        return image.id

    def image(self, role: Role = CURRENT) -> HostImage | None:
        """The image that a container was created from; None when there is no container, or its image was removed."""
        with _proxy_errors():
            return self._images.of(self.name(role))

    def adopt(self) -> None:
        """Makes the image of the running container the one that the next container is created from. May be repeated.

        Does nothing when it is not the last one of `build`.
        """
        with _proxy_errors():
            built, used = self._images.find(self._built), self._images.of(self.name())
            if built is not None and used is not None and built.id == used.id:
                self._images.name(built.id, image_tag())
                self._images.remove(self._built)

    def use(self, image: str) -> str | None:
        """Makes an image the one that the next container is created from; returns the one that it was before."""
        with _proxy_errors():
            before = self._images.find(image_tag())
            self._images.name(image, image_tag())
            self._images.remove(self._built)
        return before.id if before is not None and before.id != image else None

    def forget(self, image: str) -> None:
        """Removes an image, unless a container uses it or it has several names."""
        with _proxy_errors():
            self._images.remove(image)

    # Inside

    @property
    def _built(self) -> str:
        # Not a name that state folders share, so that one never removes the image of another.
        return f"{self._names.proxy}:next"

    def _spec(self, base: str, role: Role) -> HostContainerSpec:
        owner = self._folder.stat()
        return HostContainerSpec(
            name=self.name(role),
            image=image_tag(),
            dockerfile=shipped("Dockerfile"),
            bases={"BASE": base},
            folder=self._folder,
            target=FOLDER,
            user=f"{owner.st_uid}:{owner.st_gid}",
            labels={LABEL_ROLE: "proxy"},
            # Only to listen on ports below 1024.
            capabilities=("NET_BIND_SERVICE",),
        )

    @contextmanager
    def _build_errors(self) -> Iterator[str]:
        """The base image; converts a BuildFailed into a ProxyError that names it."""
        base = os.environ.get("DEPLOYCTL_BASE_IMAGE") or self._base()
        try:
            yield base
        except BuildFailed as error:
            raise ProxyError(
                "the proxy's image could not be built",
                why=error.why,
                hint=f"it needs the image {base} and Debian's packages; DEPLOYCTL_BASE_IMAGE names another base",
                details=error.details,
            ) from error

    def _base(self) -> str:
        return LOCAL_BASE if self._images.find(LOCAL_BASE) is not None else PUBLIC_BASE


@contextmanager
def _proxy_errors(hint: str = "") -> Iterator[None]:
    """Converts an EngineError into a ProxyError."""
    try:
        yield
    except EngineUnreachable:
        raise
    except EngineError as error:
        raise ProxyError(error.message, why=error.why, hint=error.hint or hint, details=error.details) from error


def last_alert(log: str) -> str:
    """The last alert in a log of HAProxy."""
    alerts = [line for line in log.splitlines() if "[ALERT]" in line or "[emerg]" in line]
    return alerts[-1] if alerts else "its log contains no alert"
