"""Access to the inside of the containers of one Docker engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.docker.addresses import app_number_of, subnet_around
from orchestrator.adapters.docker.containers import inspections, observed
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.on_engine import OnEngine
from orchestrator.domain.health.sockets import Listener
from orchestrator.domain.naming import LABEL_NUMBER, LABEL_RECORD, Names
from orchestrator.domain.record.labels import Evidence
from orchestrator.domain.rollout.workload import Container

if TYPE_CHECKING:
    from docker import DockerClient


class DockerContainerAccess(OnEngine):
    """`ContainerAccess` on one engine, for one state folder. `connect` is called at first use, and must cache."""

    def __init__(self, connect: Callable[[], DockerClient], names: Names) -> None:
        super().__init__(connect)
        self._names = names

    def logs(self, container: Container, *, tail: int | None, follow: bool = False) -> Iterator[str]:
        with engine_errors(f"read the log of {container.name}"):
            wanted = "all" if tail is None else tail
            chunks: Any = self._api.logs(container.id, tail=wanted, stream=True, follow=follow)
            rest = b""
            for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace").rstrip("\r") for line in lines)
            if rest:
                yield rest.decode(errors="replace")

    def execute(self, container: Container, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        with engine_errors(f"run {command[0]} in {container.name}"):
            api = self._api
            job = api.exec_create(container.id, list(command))["Id"]
            chunks: Any = api.exec_start(job, stream=True, demux=True)
            for to_out, to_err in chunks:
                for target, chunk in ((out, to_out), (err, to_err)):
                    if chunk:
                        target.write(chunk)
                        target.flush()
            return int(api.exec_inspect(job)["ExitCode"] or 0)

    def files_in(self, container: Container, folder: str) -> dict[str, str]:
        from orchestrator.adapters.docker import files_in as seen  # loads tarfile, which few commands need

        with engine_errors(f"read {folder} in {container.name}"):
            return seen.files_in(self._api, container.id, folder)

    def listening(self, container: Container) -> tuple[Listener, ...] | None:
        from orchestrator.adapters.docker.listening import listening  # only a failing release needs it

        with engine_errors(f"read the sockets of {container.name}"):
            return listening(self._api, container.id)

    def memory_kills(self, container: Container, since: float, until: float | None = None) -> int:
        with engine_errors(f"read the events of {container.name}"):
            chosen = {"type": ["container"], "event": ["oom"], "container": [container.id]}
            # Without `until` the stream stays open. With whole seconds, two spans of time would overlap.
            end = time.time() if until is None else until
            span = {"since": f"{since:.6f}", "until": f"{end:.6f}"}
            events: Any = self._api.events(**span, filters=chosen, decode=True)
            return sum(1 for _ in events)

    def evidence(self) -> tuple[Evidence, ...]:
        with engine_errors("read the labels of the containers"):
            inspected = inspections(self._api, self._names)
            return tuple(self._evidence(info) for info in inspected)

    def _evidence(self, info: dict[str, Any]) -> Evidence:
        container = observed(info, self._names)
        label = container.labels.get(LABEL_NUMBER, "")
        number = int(label) if label.isdecimal() else None
        if number is None and container.address:
            # A container from before this label: its address has the number.
            number = app_number_of(subnet_around(container.address), container.address)
        image = self._image(container.image_id) or {"Config": {}}
        own = set(info["Config"].get("Env") or []) - set(image["Config"].get("Env") or [])
        return Evidence(
            container,
            container.labels.get(LABEL_RECORD, ""),
            dict(line.split("=", 1) for line in own if "=" in line),
            info["Created"][:23] + "Z",
            number,
        )
