"""Containers on the host's network, such as the proxy, on one Docker engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker import host_images
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.on_engine import OnEngine
from orchestrator.domain.naming import LABEL_STATE, Names
from orchestrator.domain.rollout.workload import HostContainerSpec
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient

_RESTART_GRACE = 1  # seconds between SIGTERM and SIGKILL


class DockerHostContainers(OnEngine):
    """`HostContainers` on one engine, for one state folder. `connect` is called at first use, and must cache."""

    def __init__(self, connect: Callable[[], DockerClient], names: Names) -> None:
        super().__init__(connect)
        self._names = names

    def state(self, name: str) -> str:
        with engine_errors(f"inspect the container {name}"):
            container = self._find(name)
        return "missing" if container is None else str(container.status)

    def start(self, spec: HostContainerSpec, report: Callable[[str], None]) -> None:
        with engine_errors(f"start the container {spec.name}"):
            container = self._find(spec.name)
            if container is None:
                if self._image(spec.image) is None:
                    report(f"building the image {spec.image} (once)")
                    host_images.build(self._connect(), spec, spec.image, fresh=False, line=_ignore, check=_ignore)
                self._create(spec, keep=True).start()
            elif container.status == "paused":
                container.unpause()
            elif container.status != "running":
                container.start()

    def create(self, spec: HostContainerSpec) -> None:
        with engine_errors(f"create the container {spec.name}"):
            self._create(spec, keep=False)

    def rename(self, name: str, to: str) -> None:
        with engine_errors(f"rename the container {name} to {to}"):
            container = self._find(name)
            if container is None:
                raise EngineError(f"the engine could not rename {name} to {to}", why="no such container")
            container.rename(to)

    def keep_running(self, name: str, *, keep: bool) -> None:
        with engine_errors(f"set the restart policy of {name}"):
            container = self._find(name)
            if container is not None:
                container.update(restart_policy=_policy(keep=keep))

    def finish(self, name: str) -> None:
        import docker.errors

        with engine_errors(f"send a signal to {name}"):
            container = self._find(name)
            if container is None:
                return
            try:
                container.kill(signal="SIGUSR1")
            except docker.errors.APIError as error:
                if error.status_code != 409:  # it does not run
                    raise

    def remove(self, name: str) -> bool:
        import docker.errors

        with engine_errors(f"remove the container {name}"):
            container = self._find(name)
            if container is None:
                return False
            try:
                container.remove(force=True)
            except docker.errors.NotFound:
                return False
        return True

    def restart(self, name: str) -> None:
        with engine_errors(f"restart the container {name}"):
            container = self._find(name)
            if container is not None:
                container.restart(timeout=_RESTART_GRACE)

    def execute(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        with engine_errors(f"run {command[0]} in {name}"):
            container = self._find(name)
            if container is None:
                raise EngineError(f"the engine could not run {command[0]} in {name}", why="no such container")
            code, output = container.exec_run(list(command))
        return int(code), output.decode(errors="replace")

    def logs(self, name: str, tail: int) -> list[str]:
        with engine_errors(f"read the log of {name}"):
            container = self._find(name)
            output: bytes = b"" if container is None else container.logs(tail=tail)
        return output.decode(errors="replace").splitlines()

    def _find(self, name: str) -> Any | None:
        import docker.errors

        try:
            container = self._connect().containers.get(name)
        except docker.errors.NotFound:
            return None
        if container.labels.get(LABEL_STATE) != self._names.state_id:
            raise EngineError(
                f"a container named {name} exists and is not deployctl's",
                hint=f"rename it (docker rename {name} …) or remove it",
            )
        return container

    def _create(self, spec: HostContainerSpec, *, keep: bool) -> Any:
        from docker.types import LogConfig

        return self._connect().containers.create(
            spec.image,
            name=spec.name,
            network_mode="host",
            # An engine that maps users (userns-remap) allows the host's network only to containers that are not mapped.
            userns_mode="host",
            user=spec.user,
            restart_policy=_policy(keep=keep),
            labels={**spec.labels, LABEL_STATE: self._names.state_id},
            volumes={str(spec.folder): {"bind": spec.target, "mode": "rw"}},
            cap_drop=["ALL"],
            cap_add=list(spec.capabilities),
            security_opt=["no-new-privileges"],
            log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        )


def _policy(*, keep: bool) -> Any:
    return {"Name": "always" if keep else "no"}


def _ignore(*arguments: object) -> None:
    """Ignores the lines of a build."""
