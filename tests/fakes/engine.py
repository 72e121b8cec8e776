"""An engine in memory, behind the same ports as Docker. The fakes share one `FakeEngineState`.

tests/engine/contracts runs the same cases on these and on the real engine.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.docker.addresses import address, check_room
from orchestrator.domain import naming
from orchestrator.domain.engine import Engine, Machine
from orchestrator.domain.health.sockets import Listener
from orchestrator.domain.naming import Names
from orchestrator.domain.record.labels import Evidence
from orchestrator.domain.rollout.workload import Container, HostContainerSpec, HostImage, NetworkSpec, WorkloadSpec
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.build import BuildSpec, EngineUsage, Image, Layer, Leftover, RemoteImage
from orchestrator.domain.version.version import Version
from orchestrator.errors import BuildFailed, EngineError, RegistryError, TagTaken, UsageError

if TYPE_CHECKING:
    from orchestrator.ports.progress import Progress

SUBNET = "10.213.0.0/18"
PLATFORM = "linux/amd64"
CREATED = "2031-01-01T00:00:00.000Z"
MACHINE_MEMORY, KERNEL = 16 << 30, "6.1.0-fake"


@dataclass
class FakeEngineState:
    """The containers and images of the engine, and the failures to simulate.

    `exits` are versions whose containers end at once; `broken_builds` are versions, and host containers' images, that
    cannot be built. `registry` has images by their names with digest; `refusal` is why it refuses. `left_names` are
    names that an interrupted push or pull has left. `foreign` are names of host containers of other programs, and
    `networks` their networks.
    """

    names: Names = field(default_factory=lambda: Names("default"))
    network: bool = False
    subnet: str = SUBNET
    shared_networks: dict[str, bool] = field(default_factory=dict)
    foreign_network: bool = False
    ranges_used_up: bool = False
    networks: set[str] = field(default_factory=lambda: {"bridge"})
    containers: dict[str, Container] = field(default_factory=dict)
    specs: dict[str, WorkloadSpec] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    # Images whose tag moved to a newer image: they have only their ids.
    untagged: set[str] = field(default_factory=set)
    image_labels: dict[str, dict[str, str]] = field(default_factory=dict)
    # The names with digest that images have, by id, as one that was pulled has; and their layers and platforms.
    image_digests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    image_layers: dict[str, list[Layer]] = field(default_factory=dict)
    platforms: dict[str, str] = field(default_factory=dict)
    # The sizes of build caches by builder, and of volumes of removed containers by name; and what cannot be removed.
    caches: dict[str, int] = field(default_factory=dict)
    lost_volumes: dict[str, int] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    # The volumes that every image declares.
    image_volumes: tuple[str, ...] = ()
    registry: dict[str, str] = field(default_factory=dict)
    # The names with digest that tags in the registry have.
    registry_tags: dict[str, str] = field(default_factory=dict)
    immutable_tags: bool = False
    refusal: str = ""
    left_names: dict[str, str] = field(default_factory=dict)
    exits: set[str] = field(default_factory=set)
    exit_code: int = 1
    exits_out_of_memory: bool = False
    # How many processes of a version the kernel kills as soon as it starts.
    kills_while_starting: dict[str, int] = field(default_factory=dict)
    # The ports that the images of versions name.
    image_ports: dict[str, tuple[int, ...]] = field(default_factory=dict)
    broken_builds: set[str] = field(default_factory=set)
    built: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    # When processes of a container were killed for lack of memory, by its name.
    memory_kills: dict[str, list[float]] = field(default_factory=dict)
    # The fake host's, unless a test changes it.
    machine: Machine = field(default_factory=lambda: Machine(MACHINE_MEMORY, KERNEL))
    # Why containers of this engine cannot be reached; empty when they can.
    unsupported: str = ""
    host_containers: dict[str, str] = field(default_factory=dict)
    # The host containers that the engine restarts, and the image of each.
    kept_host_containers: set[str] = field(default_factory=set)
    host_made_from: dict[str, str] = field(default_factory=dict)
    # The ids of host containers' images by their names, and when each image was built.
    host_images: dict[str, str] = field(default_factory=dict)
    host_image_times: dict[str, float] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def known(self, container: Container, doing: str) -> Container:
        """The current state of a container.

        Raises:
            EngineError: it does not exist.
        """
        if container.id not in self.containers:
            raise EngineError(f"the engine could not {doing}", why=f"No such container: {container.id}")
        return self.containers[container.id]

    def change(self, container: Container, **changes: Any) -> None:
        """Changes a container that exists."""
        self.containers[container.id] = replace(self.containers[container.id], **changes)

    def host_image(self, reference: str) -> HostImage | None:
        """An image of host containers by its id or name."""
        image_id = self.host_images.get(reference, reference)
        built_at = self.host_image_times.get(image_id)
        return None if built_at is None else HostImage(image_id, built_at)

    def build_host_image(self, spec: HostContainerSpec, name: str) -> HostImage:
        """Builds an image of host containers and names it."""
        if spec.image in self.broken_builds:
            raise BuildFailed(f"the image {spec.image} could not be built", details="RUN false")
        image = HostImage(f"sha256:host{next(self.numbers)}", time.time())
        self.host_images[name] = image.id
        self.host_image_times[image.id] = image.built_at
        return image

    def image_id(self, reference: str) -> str | None:
        """The id of an image by its id or a tag."""
        ids = {*self.images.values(), *self.untagged}
        named = next(
            (found for found, names in self.image_digests.items() if reference in names and found in ids), None
        )
        return self.images.get(reference) or named or (reference if reference in ids else None)

    def publish(self, reference: str, image_id: str, *, platform: str = "") -> str:
        """Puts an image into the registry, as CI does; returns its name with the digest."""
        pinned = f"{reference.rpartition(':')[0]}@sha256:{image_id[7:][::-1]}"
        self.registry[pinned], self.registry_tags[reference] = image_id, pinned
        if platform:
            self.platforms[image_id] = platform
        return pinned


class FakeWorkloads:
    """`Workloads` in memory."""

    def __init__(self, state: FakeEngineState) -> None:
        self._state = state

    def version(self) -> dict[str, str]:
        return {"version": "fake", "api": "1.41"}

    def check(self) -> None:
        if self._state.unsupported:
            raise UsageError("this engine is not supported", why=self._state.unsupported)

    def engine(self) -> Engine:
        return Engine("fake", "machine", "unix:///fake")

    def machine(self) -> Machine:
        return self._state.machine

    def name(self, app: str, version: str, slot: Slot, index: int) -> str:
        return self._state.names.container(app, version, slot, index)

    def containers(self, app: str | None = None) -> tuple[Container, ...]:
        chosen = [container for container in self._state.containers.values() if app in (None, container.app)]
        return tuple(sorted(chosen, key=lambda container: container.name))

    def inspect(self, container_id: str) -> Container | None:
        return self._state.containers.get(container_id)

    def differences(self, container: Container, spec: WorkloadSpec) -> list[str]:
        self._state.known(container, f"inspect the container {container.name}")
        made = self._state.specs[container.id]
        mounts = {mount.target: mount.source for mount in spec.mounts}
        return [
            f"has another {word} than was recorded"
            for word, same in (
                ("command", made.runtime.command == spec.runtime.command),
                ("user", made.runtime.user == spec.runtime.user),
                ("environment", made.runtime.environment == spec.runtime.environment),
                ("mounts", {mount.target: mount.source for mount in made.mounts} == mounts),
                ("volumes", made.runtime.volumes == spec.runtime.volumes),
            )
            if not same
        ]

    def create(self, spec: WorkloadSpec) -> Container:
        self._join_network()
        name = self.name(spec.app, spec.version, spec.slot, spec.index)
        doing = f"create the container {name}"
        if any(container.name == name for container in self._state.containers.values()):
            raise EngineError(f"the engine could not {doing}", why="the name is already in use")
        if self._state.image_id(spec.image_id) is None:
            raise EngineError(f"the engine could not {doing}", why=f"No such image: {spec.image_id}")
        for missing in self.missing_networks(spec.runtime.networks):
            raise EngineError(f"the engine could not connect {name} to {missing}", why=f"network {missing} not found")
        container = Container(
            id=f"c{next(self._state.numbers)}",
            name=name,
            app=spec.app,
            version=spec.version,
            slot=spec.slot,
            deployment=spec.deployment,
            index=spec.index,
            image_id=spec.image_id,
            state="created",
            address=address(self._state.subnet, spec.app_number, spec.slot, spec.index),
            labels={
                **spec.labels,
                naming.LABEL_STATE: self._state.names.state_id,
                naming.LABEL_APP: spec.app,
                naming.LABEL_VERSION: spec.version,
                naming.LABEL_SLOT: spec.slot,
                naming.LABEL_DEPLOYMENT: str(spec.deployment),
                naming.LABEL_INDEX: str(spec.index),
                naming.LABEL_NUMBER: str(spec.app_number),
            },
        )
        self._state.containers[container.id] = container
        self._state.specs[container.id] = spec
        return container

    def missing_networks(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name not in self._state.networks)

    def check_network(self, network: NetworkSpec, app_number: int) -> None:
        if self._state.ranges_used_up and not self._state.network:
            raise UsageError("no address range is free for the network of this state folder")
        check_room(self._state.subnet, app_number)

    def start(self, container: Container) -> None:
        doing = f"start the container {container.name}"
        current = self._state.known(container, doing)
        for other in self._state.containers.values():
            if other.running and other.address == current.address and other.id != current.id:
                raise EngineError(f"the engine could not {doing}", why="Address already in use")
        if current.version in self._state.exits:
            killed = self._state.exits_out_of_memory
            self._state.change(container, state="exited", exit_code=self._state.exit_code, out_of_memory=killed)
            return
        kills = self._state.kills_while_starting.get(current.version, 0)
        self._state.change(container, state="running", out_of_memory=kills > 0)
        if kills:
            self._state.memory_kills[container.name] = [current.started_at] * kills

    def stop(self, container: Container) -> None:
        if container.id in self._state.containers:
            state = "created" if self._state.containers[container.id].state == "created" else "exited"
            self._state.change(container, state=state, kept_running=False)

    def remove(self, container: Container) -> None:
        self._state.containers.pop(container.id, None)

    def keep_running(self, container: Container) -> None:
        self._state.known(container, f"enable automatic restart of {container.name}")
        self._state.change(container, kept_running=True)

    def resume(self, container: Container) -> None:
        doing = f"unpause the container {container.name}"
        if self._state.known(container, doing).state != "paused":
            raise EngineError(f"the engine could not {doing}", why=f"Container {container.name} is not paused")
        self._state.change(container, state="running")

    def restart(self, container: Container) -> None:
        self._state.known(container, f"restart the container {container.name}")
        self._state.restarted.append(container.name)
        self._state.change(container, state="running")

    def reconnect(self, container: Container, app_number: int, network: NetworkSpec) -> None:
        self._state.known(container, f"connect the container {container.name} to the network")
        self._join_network()
        fixed = address(self._state.subnet, app_number, container.slot, container.index)
        self._state.change(container, address=fixed)

    def own_addresses(self, app_number: int, slot: Slot, index: int, network: NetworkSpec) -> dict[str, bool]:
        return {address(self._state.subnet, app_number, slot, index): True} if self._state.network else {}

    def shared_networks(self, network: NetworkSpec) -> dict[str, bool]:
        return dict(self._state.shared_networks)

    def tidy(self) -> bool:
        removed = self._state.network and not self._state.containers
        self._state.network = self._state.network and not removed
        return removed

    def _join_network(self) -> None:
        if self._state.foreign_network:
            raise EngineError(f"the network {self._state.names.network} belongs to another state folder of deployctl")
        self._state.network = True


class FakeContainerAccess:
    """`ContainerAccess` in memory. `files` are the files in each container, by its name and then by path.

    `sockets` are those on which a container listens, by its name; without an entry they cannot be read. `output` is the
    log of a version instead of the usual one.
    """

    def __init__(self, state: FakeEngineState) -> None:
        self._state = state
        self.files: dict[str, dict[str, str]] = {}
        self.sockets: dict[str, tuple[Listener, ...]] = {}
        self.output: dict[str, list[str]] = {}

    def logs(self, container: Container, *, tail: int | None, follow: bool = False) -> Iterator[str]:
        if self._state.known(container, f"read the log of {container.name}").state == "created":
            return
        lines = self.output.get(container.version, [f"{container.name} says hello", f"{container.name} gives up"])
        yield from lines if tail is None else lines[-tail:]

    def listening(self, container: Container) -> tuple[Listener, ...] | None:
        doing = f"read the sockets of {container.name}"
        if not self._state.known(container, doing).running:
            raise EngineError(f"the engine could not {doing}", why="it is not running")
        return self.sockets.get(container.name)

    def execute(self, container: Container, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        doing = f"run {command[0]} in {container.name}"
        if not self._state.known(container, doing).running:
            raise EngineError(f"the engine could not {doing}", why="it is not running")
        code, output = _outcome(command)
        out.write(output.encode())
        return code

    def files_in(self, container: Container, folder: str) -> dict[str, str]:
        self._state.known(container, f"read {folder} in {container.name}")
        return dict(self.files.get(container.name, {}))

    def memory_kills(self, container: Container, since: float, until: float | None = None) -> int:
        times = self._state.memory_kills.get(container.name, [])
        return sum(1 for at in times if since <= at and (until is None or at < until))

    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(
            Evidence(
                container,
                container.labels.get(naming.LABEL_RECORD, ""),
                dict(self._state.specs[container.id].runtime.environment),
                CREATED,
                int(container.labels[naming.LABEL_NUMBER]),
            )
            for container in sorted(self._state.containers.values(), key=lambda container: container.name)
        )


class FakeImages:
    """`Images` in memory."""

    def __init__(self, state: FakeEngineState) -> None:
        self._state = state

    def build(self, spec: BuildSpec, progress: Progress) -> str:
        version = spec.labels.get(naming.LABEL_VERSION, spec.tag)
        progress.check()
        progress.detail(f"building {version}")
        if version in self._state.broken_builds:
            raise BuildFailed(f"the image {spec.tag} could not be built", details="RUN false")
        self._state.built.append(version)
        image_id = f"sha256:{len(self._state.built):064x}"
        if spec.tag in self._state.images:
            self._state.untagged.add(self._state.images[spec.tag])
        self._state.images[spec.tag] = image_id
        self._state.image_labels[image_id] = dict(spec.labels)
        return image_id

    def find(self, reference: str) -> Image | None:
        image_id = self._state.image_id(reference)
        if image_id is None:
            return None
        labels = self._state.image_labels.get(image_id, {})
        ports = self._state.image_ports.get(labels.get(naming.LABEL_VERSION, ""), ())
        return Image(
            image_id,
            labels,
            ports,
            volumes=self._state.image_volumes,
            digests=self._state.image_digests.get(image_id, ()),
            platform=self._state.platforms.get(image_id, PLATFORM),
        )

    def platform(self) -> str:
        return PLATFORM

    def tag(self, image_id: str, reference: str) -> None:
        if self._state.image_id(image_id) is None:
            raise EngineError(f"the engine could not tag the image as {reference}", why=f"No such image: {image_id}")
        before = self._state.images.get(reference)
        self._state.images[reference] = image_id
        self._state.untagged.discard(image_id)
        if before not in (None, image_id) and before not in self._state.images.values():
            self._state.untagged.add(str(before))

    def labelled(self, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        rows = [*self._state.images.items(), *(("", image_id) for image_id in sorted(self._state.untagged))]
        return [
            (tag, image_id)
            for tag, image_id in rows
            if labels.items() <= self._state.image_labels.get(image_id, {}).items()
        ]

    def usage(self) -> EngineUsage:
        return EngineUsage("/var/lib/docker", len(self._state.untagged), len(self._state.untagged), 0)

    def layers(self, image_id: str) -> list[Layer]:
        default = [Layer(image_id, 1)]
        return self._state.image_layers.get(image_id, default) if self._state.image_id(image_id) else []

    def remove(self, reference: str, image_id: str) -> bool:
        if any(container.image_id == image_id for container in self._state.containers.values()):
            return False
        if image_id in self._state.untagged:
            self._state.untagged.remove(image_id)
            return True
        if self._state.images.get(reference) != image_id:
            return False
        del self._state.images[reference]
        return True


class FakeLeftovers:
    """`Leftovers` in memory."""

    def __init__(self, state: FakeEngineState) -> None:
        self._state = state

    def find(self, needed: Collection[str]) -> tuple[Leftover, ...]:
        used = {container.image_id for container in self._state.containers.values()}
        images = sorted(self._state.untagged - used - {*needed})
        caches = [Leftover("cache", builder, size) for builder, size in sorted(self._state.caches.items()) if size]
        volumes = [Leftover("volume", name, size) for name, size in sorted(self._state.lost_volumes.items())]
        return (*(Leftover("image", image_id, 1) for image_id in images), *caches, *volumes)

    def remove(self, leftover: Leftover) -> int | None:
        if leftover.id in self._state.stuck:
            raise EngineError(f"the engine could not remove the {leftover.words}", why="it is busy")
        if leftover.kind == "cache":
            return self._state.caches.pop(leftover.id, 0)
        if leftover.kind == "volume":
            return self._state.lost_volumes.pop(leftover.id, None)
        if leftover.id not in self._state.untagged:
            return None
        self._state.untagged.remove(leftover.id)
        return leftover.size


class FakeRegistry:
    """`Registry` in memory."""

    def __init__(self, state: FakeEngineState) -> None:
        self._state = state

    def push(self, image_id: str, reference: str, progress: Progress, *, replaces: Collection[str] = ()) -> str:
        progress.check()
        if self._state.image_id(image_id) is None:
            raise EngineError("the engine could not push the image", why=f"No such image: {image_id}")
        self._refuse(f"{reference} could not be pushed")
        progress.detail(f"pushing {reference}")
        pinned = f"{reference.rpartition(':')[0]}@sha256:{image_id[7:][::-1]}"
        there = self._state.registry_tags.get(reference, pinned)
        if there != pinned and (self._state.immutable_tags or there not in replaces):
            raise TagTaken(f"{reference} is another image in the registry", why=f"the tag belongs to {there}")
        self._state.registry[pinned] = image_id
        self._state.registry_tags[reference] = pinned
        return pinned

    def pull(self, version: Version, progress: Progress) -> str:
        progress.check()
        assert version.pushed is not None, "only a version that was pushed can be pulled"
        what = f"{version.pushed} could not be pulled"
        self._refuse(what)
        if version.pushed not in self._state.registry:
            raise RegistryError(what, why="manifest unknown", hint="it was removed from the registry")
        progress.detail(f"pulling {version.pushed}")
        image_id = self._state.registry[version.pushed]
        if self._state.images.get(version.image, image_id) != image_id:
            self._state.untagged.add(self._state.images[version.image])
        self._state.images[version.image] = image_id
        self._state.untagged.discard(image_id)
        return image_id

    def resolve(self, reference: str, progress: Progress) -> RemoteImage | None:
        progress.check()
        self._refuse(f"the registry does not say what {reference} is")
        pinned = reference if reference in self._state.registry else self._state.registry_tags.get(reference)
        if pinned is None or pinned not in self._state.registry:
            return None
        return RemoteImage(pinned, (self._state.platforms.get(self._state.registry[pinned], PLATFORM),))

    def fetch(self, pinned: str, progress: Progress) -> str:
        progress.check()
        what = f"{pinned} could not be pulled"
        self._refuse(what)
        if pinned not in self._state.registry:
            raise RegistryError(what, why="manifest unknown", hint="it was removed from the registry")
        progress.detail(f"pulling {pinned}")
        image_id = self._state.registry[pinned]
        self._state.image_digests[image_id] = (pinned,)
        if image_id not in self._state.images.values():
            self._state.untagged.add(image_id)
        return image_id

    def untag(self, reference: str) -> bool:
        for image_id, names in self._state.image_digests.items():
            if reference in names and image_id in self._state.images.values():
                self._state.image_digests[image_id] = tuple(name for name in names if name != reference)
                return True
        return self._state.left_names.pop(reference, None) is not None

    def check(self, repository: str) -> None:
        self._refuse(f"the check of {repository} failed")

    def _refuse(self, what: str) -> None:
        if self._state.refusal:
            raise RegistryError(what, why=self._state.refusal, hint="docker login")


class FakeHostContainers:
    """`HostContainers` in memory: the state of each by its name. Containers in `foreign` belong to other programs."""

    def __init__(self, state: FakeEngineState) -> None:
        self._state = state

    def state(self, name: str) -> str:
        return self._find(name) or "missing"

    def start(self, spec: HostContainerSpec, report: Callable[[str], None]) -> None:
        if self._find(spec.name) is None:
            if self._state.host_image(spec.image) is None:
                report(f"building the image {spec.image} (once)")
                self._state.build_host_image(spec, spec.image)
            self.create(spec)
            self._state.kept_host_containers.add(spec.name)
        self._state.host_containers[spec.name] = "running"

    def create(self, spec: HostContainerSpec) -> None:
        doing = f"create the container {spec.name}"
        image = self._state.host_image(spec.image)
        if self._find(spec.name) is not None:
            raise EngineError(f"the engine could not {doing}", why="the name is already in use")
        if image is None:
            raise EngineError(f"the engine could not {doing}", why=f"No such image: {spec.image}")
        self._state.host_containers[spec.name] = "created"
        self._state.host_made_from[spec.name] = image.id

    def rename(self, name: str, to: str) -> None:
        state = self._find(name)
        if state is None or self._find(to) is not None:
            raise EngineError(
                f"the engine could not rename {name} to {to}", why="no such container, or the name is taken"
            )
        self._state.host_containers[to] = self._state.host_containers.pop(name)
        self._state.host_made_from[to] = self._state.host_made_from.pop(name)
        if name in self._state.kept_host_containers:
            self._state.kept_host_containers.remove(name)
            self._state.kept_host_containers.add(to)

    def keep_running(self, name: str, *, keep: bool) -> None:
        self._state.kept_host_containers.discard(name)
        if keep and self._find(name) is not None:
            self._state.kept_host_containers.add(name)

    def finish(self, name: str) -> None:
        if self._find(name) == "running":
            self._state.host_containers[name] = "exited"

    def remove(self, name: str) -> bool:
        self._find(name)
        self._state.kept_host_containers.discard(name)
        self._state.host_made_from.pop(name, None)
        return self._state.host_containers.pop(name, None) is not None

    def restart(self, name: str) -> None:
        if self._find(name) is not None:
            self._state.host_containers[name] = "running"

    def execute(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        if self._find(name) != "running":
            raise EngineError(f"the engine could not run {command[0]} in {name}", why="it is not running")
        return _outcome(command)

    def logs(self, name: str, tail: int) -> list[str]:
        return [] if self._find(name) is None else [f"{name} says hello", f"{name} waits"][-tail:]

    def _find(self, name: str) -> str | None:
        if name in self._state.foreign:
            raise EngineError(f"a container named {name} exists and is not deployctl's")
        return self._state.host_containers.get(name)


class FakeHostImages:
    """`HostImages` in memory."""

    def __init__(self, state: FakeEngineState) -> None:
        self._state = state

    def find(self, reference: str) -> HostImage | None:
        return self._state.host_image(reference)

    def of(self, container: str) -> HostImage | None:
        return self._state.host_image(self._state.host_made_from.get(container, ""))

    def build(self, spec: HostContainerSpec, name: str, progress: Progress) -> HostImage:
        progress.check()
        progress.detail(f"building {name}")
        return self._state.build_host_image(spec, name)

    def name(self, image_id: str, name: str) -> None:
        if self._state.host_image(image_id) is None:
            raise EngineError(f"the engine could not name an image {name}", why=f"No such image: {image_id}")
        self._state.host_images[name] = image_id

    def remove(self, reference: str) -> bool:
        image = self._state.host_image(reference)
        if image is None:
            return False
        names = [name for name, each in self._state.host_images.items() if each == image.id]
        used = image.id in self._state.host_made_from.values()
        if reference in names and len(names) > 1:
            del self._state.host_images[reference]
            return True
        if used or len(names) > 1:
            return False
        for name in names:
            del self._state.host_images[name]
        del self._state.host_image_times[image.id]
        return True


def _outcome(command: Sequence[str]) -> tuple[int, str]:
    """The exit code and output of a program: its own words, and 3 if they end with `exit 3`."""
    code = re.search(r"exit (\d+)$", command[-1])
    return int(code[1]) if code else 0, " ".join(command)
