"""The old wide port `Engine`, on top of the adapters by port. It goes away with ports/old.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.docker import network
from orchestrator.adapters.docker.addresses import app_number_of
from orchestrator.adapters.docker.container_access import DockerContainerAccess
from orchestrator.adapters.docker.containers import description, observed
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.images import DockerImages
from orchestrator.adapters.docker.workloads import DockerWorkloads
from orchestrator.config import Config
from orchestrator.config.secrets import MOUNT as SECRETS_MOUNT
from orchestrator.domain import naming
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import Container, Mount, WorkloadSpec
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.version import Version
from orchestrator.errors import EngineError, RegistryError

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.adapters.docker.registry import DockerRegistry
    from orchestrator.domain.record.labels import Evidence


@dataclass(frozen=True)
class _Callbacks:
    """`Progress` made of two functions."""

    detail: Callable[[str], None]
    check: Callable[[], None]


class DockerEngine:
    """The old `Engine`, for one state folder. `client` connects at first use."""

    def __init__(self, client: Callable[[], DockerClient], names: Names, models: Path, secrets: Path) -> None:
        self._connect = client
        self._names = names
        self._models = models
        self._secrets = secrets
        self._workloads = DockerWorkloads(client, names)
        self._access = DockerContainerAccess(client, names)
        self._images = DockerImages(client)

    @property
    def _api(self) -> Any:
        return self._connect().api

    def ping(self) -> dict[str, str]:
        return self._workloads.version()

    def ensure_network(self) -> str:
        return network.ensure(self._connect(), self._names).subnet

    def remove_network_if_unused(self) -> bool:
        return self._workloads.tidy()

    def build(
        self,
        config: Config,
        version: str,
        *,
        labels: dict[str, str],
        progress: Callable[[str], None],
        cancelled: Callable[[], None],
    ) -> str:
        return self._images.build(config.build_spec(version, labels), _Callbacks(progress, cancelled))

    def image_id(self, reference: str) -> str | None:
        image = self._images.find(reference)
        return None if image is None else image.id

    def image_labels(self, image_id: str) -> dict[str, str] | None:
        image = self._images.find(image_id)
        return None if image is None else dict(image.labels)

    def layers(self, image_id: str) -> list[tuple[str, int]]:
        return [(layer.digest, layer.size) for layer in self._images.layers(image_id)]

    def remove_image(self, reference: str, image_id: str) -> bool:
        return self._images.remove(reference, image_id)

    def push(
        self, image_id: str, reference: str, *, progress: Callable[[str], None], cancelled: Callable[[], None]
    ) -> str:
        with _engine_error():
            return self._registry().push(image_id, reference, _Callbacks(progress, cancelled))

    def pull(self, version: Version, *, progress: Callable[[str], None], cancelled: Callable[[], None]) -> str:
        with _engine_error():
            return self._registry().pull(version, _Callbacks(progress, cancelled))

    def untag(self, reference: str) -> bool:
        return self._registry().untag(reference)

    def check_registry(self, repository: str) -> None:
        with _engine_error():
            self._registry().check(repository)

    def _registry(self) -> DockerRegistry:
        from orchestrator.adapters.docker.registry import DockerRegistry

        return DockerRegistry(self._connect)

    def containers(self, app: str | None = None) -> tuple[Container, ...]:
        return self._workloads.containers(app)

    def inspect(self, container_id: str) -> Container | None:
        return self._workloads.inspect(container_id)

    def create(
        self,
        config: Config,
        version: Version,
        slot: Slot,
        index: int,
        *,
        deployment: int,
        address: str,
        settings: str,
    ) -> Container:
        from orchestrator.domain.record import labels as record

        mounts = []
        if config.model is not None:
            mounts.append(Mount(self._models / version.app / version.name, config.model.mount))
        if config.run.secrets:
            mounts.append(Mount(self._secrets / version.app / version.name / str(deployment), SECRETS_MOUNT))
        spec = WorkloadSpec(
            app=version.app,
            app_number=app_number_of(self.ensure_network(), address) or 0,
            version=version.name,
            slot=slot,
            index=index,
            deployment=deployment,
            image_id=version.image_id,
            runtime=config.runtime(),
            mounts=tuple(mounts),
            labels={
                naming.LABEL_MANIFEST: version.manifest,
                naming.LABEL_CONFIG: settings,
                naming.LABEL_RECORD: record.write(version, config.snapshot()),
            },
        )
        wanted = description(self._api, self._names, spec, address)
        with engine_errors(f"create the container {wanted['name']}"):
            created = self._api.create_container(**wanted)
            return observed(self._api.inspect_container(created["Id"]), self._names.network)

    def start(self, container: Container) -> None:
        self._workloads.start(container)

    def stop(self, container: Container) -> None:
        self._workloads.stop(container)

    def remove(self, container: Container) -> None:
        self._workloads.remove(container)

    def set_restart(self, container: Container, policy: str) -> None:
        with engine_errors(f"set the restart policy of {container.name}"):
            self._api.update_container(container.id, restart_policy={"Name": policy})

    def unpause(self, container: Container) -> None:
        self._workloads.resume(container)

    def restart(self, container: Container) -> None:
        self._workloads.restart(container)

    def oom_kills(self, container: Container, since: float) -> int:
        return self._access.memory_kills(container, since)

    def connect(self, container: Container, address: str) -> None:
        """Gives a container its address in the network, whatever it has there now."""
        with engine_errors(f"connect the container {container.name} to the network"):
            if container.address:
                self._api.disconnect_container_from_network(container.id, self._names.network, force=True)
            self._api.connect_container_to_network(container.id, self._names.network, ipv4_address=address)

    def logs(self, container: Container, *, tail: int, follow: bool = False) -> Iterator[str]:
        return self._access.logs(container, tail=tail, follow=follow)

    def execute(self, container: Container, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        return self._access.execute(container, command, out, err)

    def settings_of(self, container: Container) -> str:
        return self.container_labels(container).get(naming.LABEL_CONFIG, "")

    def container_labels(self, container: Container) -> dict[str, str]:
        with engine_errors("inspect a container"):
            return dict(self._api.inspect_container(container.id)["Config"].get("Labels") or {})

    def files_in(self, container: Container, folder: str) -> dict[str, str]:
        return self._access.files_in(container, folder)

    def evidence(self) -> tuple[Evidence, ...]:
        return self._access.evidence()


@contextmanager
def _engine_error() -> Iterator[None]:
    """The old port's callers know no RegistryError."""
    try:
        yield
    except RegistryError as error:
        raise EngineError(error.message, why=error.why, hint=error.hint, details=error.details) from error
