"""An engine for the contract tests, in memory or real, with one unique app."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient

from orchestrator.domain import naming
from orchestrator.domain.rollout.workload import Container, Mount, Runtime, WorkloadSpec
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.build import BuildSpec
from orchestrator.domain.version.version import Version
from orchestrator.ports.container_access import ContainerAccess
from orchestrator.ports.host_containers import HostContainers
from orchestrator.ports.host_images import HostImages
from orchestrator.ports.images import Images
from orchestrator.ports.leftovers import Leftovers
from orchestrator.ports.registry import Registry
from orchestrator.ports.workloads import Workloads
from tests.fakes.engine import FakeEngineState
from tests.fakes.progress import FakeProgress

ENDS = 'CMD ["sh", "-c", "echo hello; echo gives up; exit 1"]'
STAYS = 'CMD ["sh", "-c", "echo hello; echo waits; exec sleep 600"]'


@dataclass
class Rig:
    """The ports of one engine. `fake` is the state of the engine in memory; None for the real one."""

    workloads: Workloads
    access: ContainerAccess
    images: Images
    registry: Registry
    hosts: HostContainers
    leftovers: Leftovers
    host_images: HostImages
    state_id: str
    folder: Path
    fake: FakeEngineState | None
    client: Callable[[], DockerClient]
    progress: FakeProgress = field(default_factory=FakeProgress)
    app_number: int = 3
    built: int = 0

    @property
    def app(self) -> str:
        return f"c{self.state_id}"

    def build_spec(self, version: str = "v1", *, ends: bool = False, text: str = "") -> BuildSpec:
        """The build of a version whose containers keep running, or end at once. Each call gives another image."""
        self.built += 1
        text = text or f"FROM deployctl-base:bookworm\nENV BUILD={self.built}\n{ENDS if ends else STAYS}\n"
        (self.folder / "Dockerfile").write_text(text)
        if ends and self.fake is not None:
            self.fake.exits.add(version)
        return BuildSpec(
            tag=naming.image(self.app, version),
            context=self.folder,
            labels={
                naming.LABEL_APP: self.app,
                naming.LABEL_VERSION: version,
                naming.LABEL_STATE: self.state_id,
                naming.LABEL_MANIFEST: "sha256:manifest",
            },
        )

    def build(self, version: str = "v1", *, ends: bool = False, text: str = "") -> Version:
        """Builds a version."""
        spec = self.build_spec(version, ends=ends, text=text)
        return Version(
            app=self.app,
            name=version,
            image=spec.tag,
            image_id=self.images.build(spec, self.progress),
            manifest="sha256:manifest",
            parent=None,
            author="somebody",
            created_at="2031-01-01T00:00:00.000Z",
        )

    def spec(
        self,
        version: Version,
        slot: Slot = "blue",
        index: int = 1,
        *,
        environment: dict[str, str] | None = None,
        mounts: tuple[Mount, ...] = (),
        networks: tuple[str, ...] = (),
    ) -> WorkloadSpec:
        """One replica of a version."""
        return WorkloadSpec(
            app=version.app,
            app_number=self.app_number,
            version=version.name,
            slot=slot,
            index=index,
            deployment=7,
            image_id=version.image_id,
            runtime=Runtime(stop_timeout=1.0, environment=environment or {}, networks=networks),
            mounts=mounts,
            labels={
                naming.LABEL_MANIFEST: version.manifest,
                naming.LABEL_CONFIG: "digest of the settings",
                naming.LABEL_RECORD: "the record",
            },
        )

    def create(self, version: Version, slot: Slot = "blue", index: int = 1, **more: Any) -> Container:
        """Creates a replica."""
        return self.workloads.create(self.spec(version, slot, index, **more))

    def run(self, version: Version, slot: Slot = "blue", index: int = 1, **more: Any) -> Container:
        """Creates and starts a replica."""
        container = self.create(version, slot, index, **more)
        self.workloads.start(container)
        return self.now(container)

    def now(self, container: Container) -> Container:
        """The container as it is now."""
        current = self.workloads.inspect(container.id)
        assert current is not None
        return current

    def ended(self, container: Container) -> Container:
        """The container when it has ended by itself."""
        limit = time.monotonic() + 20
        while (current := self.now(container)).state != "exited":
            assert time.monotonic() < limit, current
            time.sleep(0.02)
        return current

    def pause(self, container: Container) -> None:
        """Pauses a container without deployctl."""
        if self.fake is not None:
            self.fake.change(container, state="paused")
        else:
            self.client().containers.get(container.id).pause()

    def disconnect(self, container: Container) -> None:
        """Detaches a container from its network without deployctl."""
        if self.fake is not None:
            self.fake.change(container, address="")
        else:
            (name,) = self.client().containers.get(container.id).attrs["NetworkSettings"]["Networks"]
            self.client().networks.get(name).disconnect(container.id, force=True)
