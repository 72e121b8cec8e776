"""The container that HAProxy runs in: on the host's network, always restarted, with a mounted folder.

It uses the host's network because a published port reduces the throughput of loopback clients, and mounts the folder
because a mounted file would not change when a rename replaces it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from orchestrator.adapters.haproxy.render import FOLDER
from orchestrator.domain.naming import LABEL_ROLE, Names
from orchestrator.domain.rollout.workload import HostContainerSpec
from orchestrator.errors import BuildFailed, EngineError, EngineUnreachable, ProxyError
from orchestrator.ports.host_containers import HostContainers

LOCAL_BASE = "deployctl-base:bookworm"
PUBLIC_BASE = "debian:bookworm-slim"


def shipped(name: str) -> str:
    """The text of a file of compose/proxy, from the wheel or from a checkout."""
    packaged = resources.files("orchestrator") / "_compose" / "proxy" / name
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[3] / "compose" / "proxy" / name).read_text(encoding="utf-8")


def image_tag() -> str:
    """The name of the proxy's image: it depends on the Dockerfile."""
    return f"deployctl-proxy:{hashlib.sha256(shipped('Dockerfile').encode()).hexdigest()[:12]}"


class ProxyContainer:
    """Starts, checks and removes the proxy's container. `folder` is the proxy's, and is mounted.

    Every method raises ProxyError when the engine rejects a request, and EngineUnreachable when it does not answer.
    """

    def __init__(self, containers: HostContainers, names: Names, folder: Path) -> None:
        self._containers = containers
        self._name = names.proxy
        self._folder = folder

    def state(self) -> str:
        """`running`, `missing`, or what the engine says of a container that does not run."""
        with _proxy_errors():
            return self._containers.state(self._name)

    def start(self, report: Callable[[str], None]) -> None:
        """Starts the container. Builds its image at first use, and then calls `report`."""
        with _proxy_errors():
            base = os.environ.get("DEPLOYCTL_BASE_IMAGE") or self._base()
            try:
                self._containers.start(self._spec(base), report)
            except BuildFailed as error:
                raise ProxyError(
                    "the proxy's image could not be built",
                    why=error.why,
                    hint=f"it needs the image {base} and Debian's packages; DEPLOYCTL_BASE_IMAGE names another base",
                    details=error.details,
                ) from error

    def remove(self) -> bool:
        """Removes the container; False when there was none."""
        with _proxy_errors():
            return self._containers.remove(self._name)

    def restart(self) -> None:
        """Stops the proxy within a second and starts it again. Does nothing if it is missing."""
        with _proxy_errors():
            self._containers.restart(self._name)

    def check(self, file: str) -> str:
        """The output of `haproxy -c` for a configuration in the folder; empty when it is valid.

        Raises:
            ProxyError: the proxy does not run.
        """
        with _proxy_errors(hint="deployctl proxy up"):
            # Not -q, which also hides the reason.
            code, output = self._containers.execute(self._name, ["haproxy", "-c", "-f", f"{FOLDER}/{file}"])
        return "" if code == 0 else output.strip() or f"exit code {code}"

    def logs(self, tail: int) -> list[str]:
        """The last `tail` lines of the proxy's output."""
        with _proxy_errors():
            return self._containers.logs(self._name, tail)

    def _spec(self, base: str) -> HostContainerSpec:
        owner = self._folder.stat()
        return HostContainerSpec(
            name=self._name,
            image=image_tag(),
            dockerfile=shipped("Dockerfile"),
            build_args={"BASE": base},
            folder=self._folder,
            target=FOLDER,
            user=f"{owner.st_uid}:{owner.st_gid}",
            labels={LABEL_ROLE: "proxy"},
            # Only to listen on ports below 1024.
            capabilities=("NET_BIND_SERVICE",),
        )

    def _base(self) -> str:
        return LOCAL_BASE if self._containers.has_image(LOCAL_BASE) else PUBLIC_BASE


@contextmanager
def _proxy_errors(hint: str = "") -> Iterator[None]:
    """Converts an EngineError into a ProxyError."""
    try:
        yield
    except EngineUnreachable:
        raise
    except EngineError as error:
        raise ProxyError(error.message, why=error.why, hint=error.hint or hint, details=error.details) from error
