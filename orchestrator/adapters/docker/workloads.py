"""The containers of the apps on one Docker engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker import context, network
from orchestrator.adapters.docker.addresses import address, app_count
from orchestrator.adapters.docker.client import engine_of, settings
from orchestrator.adapters.docker.containers import (
    description,
    endpoint_of,
    image_command,
    inspections,
    observed,
)
from orchestrator.adapters.docker.differences import differences
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.on_engine import OnEngine
from orchestrator.domain.engine import Engine, Machine
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import Container, NetworkSpec, WorkloadSpec
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import EngineError, UsageError

if TYPE_CHECKING:
    from docker import DockerClient

_HUNG_GRACE = 2  # seconds that a container which does not answer gets to end by itself


class DockerWorkloads(OnEngine):
    """`Workloads` on one engine, for one state folder. `connect` is called at first use, and must cache."""

    def __init__(self, connect: Callable[[], DockerClient], names: Names) -> None:
        super().__init__(connect)
        self._names = names

    @cached_property
    def _settings(self) -> Mapping[str, Any]:
        # They do not change while the engine runs, and a release asks for them twice.
        return settings(self._connect())

    def version(self) -> dict[str, str]:
        with engine_errors("report its version"):
            reported = self._connect().version()
        return {"version": str(reported.get("Version", "")), "api": str(reported.get("ApiVersion", ""))}

    def check(self) -> None:
        options = self._settings.get("SecurityOptions") or []
        if any("name=rootless" in str(option) for option in options) and _is_initial_user_namespace():
            raise UsageError(
                "a rootless Docker engine is not supported",
                why="it keeps its containers in a network of its own, which this machine cannot reach",
                hint="use an engine that runs as root: see DOCKER_HOST and 'docker context ls'",
            )

    def engine(self) -> Engine:
        return engine_of(self._settings, context.follow(os.environ))

    def machine(self) -> Machine:
        told = self._settings
        return Machine(int(told.get("MemTotal") or 0), str(told.get("KernelVersion", "")))

    def name(self, app: str, version: str, slot: Slot, index: int) -> str:
        return self._names.container(app, version, slot, index)

    def containers(self, app: str | None = None) -> tuple[Container, ...]:
        with engine_errors("list the containers"):
            inspected = inspections(self._api, self._names, app)
        return tuple(observed(info, self._names) for info in inspected)

    def inspect(self, container_id: str) -> Container | None:
        import docker.errors

        with engine_errors("inspect a container"):
            try:
                return observed(self._api.inspect_container(container_id), self._names)
            except docker.errors.NotFound:
                return None

    def differences(self, container: Container, spec: WorkloadSpec) -> list[str]:
        with engine_errors(f"inspect the container {container.name}"):
            info = self._api.inspect_container(container.id)
            found = self._image(spec.image_id)
            if found is None:
                return []  # without the image it is unknown what comes from it
            image = found["Config"]
            # That of its creation: it stays the same when the container moves between the two.
            possible = network.names_of(self._names, spec.network)
            mode = info["HostConfig"]["NetworkMode"]
            created_in = mode if mode in possible else possible[0]
            wanted = description(self._api, self._names, spec, container.address, created_in, image)
            return differences(wanted, info, image)

    def create(self, spec: WorkloadSpec) -> Container:
        place = network.ensure(self._connect(), self._names, spec.network)
        fixed = address(place.subnet, spec.app_number, spec.slot, spec.index)
        wanted = description(self._api, self._names, spec, fixed, place.name, self._settings_of_image(spec))
        # The engine notices a missing network only when the container starts.
        for missing in self.missing_networks(spec.runtime.networks):
            raise EngineError(
                f"the engine could not create the container {wanted['name']}",
                why=f"network {missing} not found",
                hint=f"create it: docker network create {missing}",
            )
        api = self._api
        with engine_errors(f"create the container {wanted['name']}"):
            created = api.create_container(**wanted)["Id"]
        try:
            for name in spec.runtime.networks:
                with engine_errors(f"connect the container {wanted['name']} to the network {name}"):
                    api.connect_container_to_network(created, name)
        except EngineError:
            with engine_errors(f"remove the container {wanted['name']}"):
                api.remove_container(created, v=True)
            raise
        with engine_errors(f"inspect the container {wanted['name']}"):
            return observed(api.inspect_container(created), self._names)

    def _settings_of_image(self, spec: WorkloadSpec) -> Mapping[str, Any]:
        """The settings of the image of a container."""
        with engine_errors(f"inspect the image of {spec.version}"):
            image: Mapping[str, Any] = self._api.inspect_image(spec.image_id)["Config"]
        started = image_command(image)
        if spec.environment_file and not (started.entrypoint or started.command or spec.runtime.command):
            raise EngineError(f"the image of {spec.version} has no command", hint="set run.command")
        return image

    def missing_networks(self, names: Sequence[str]) -> tuple[str, ...]:
        with engine_errors("list the networks"):
            # The engine finds a network by its name, its id, or the beginning of its id.
            rows = self._api.networks() if names else []
        known = {row["Name"] for row in rows}
        return tuple(name for name in names if name not in known)

    def check_network(self, spec: NetworkSpec, app_number: int) -> None:
        network.check(self._connect(), self._names, spec, app_number)

    def start(self, container: Container) -> None:
        with engine_errors(f"start the container {container.name}"):
            self._api.start(container.id)

    def stop(self, container: Container) -> None:
        import docker.errors

        with engine_errors(f"stop the container {container.name}"):
            api = self._api
            try:
                # First, because a starting engine would start the container again.
                api.update_container(container.id, restart_policy={"Name": "no"})
                info = api.inspect_container(container.id)
                if info["State"].get("Paused"):
                    api.unpause(container.id)
                grace = info["Config"].get("StopTimeout")
                api.stop(container.id, timeout=10 if grace is None else grace)
            except docker.errors.NotFound:
                return

    def remove(self, container: Container) -> None:
        import docker.errors

        with engine_errors(f"remove the container {container.name}"):
            try:
                self._api.remove_container(container.id, force=True, v=True)
            except docker.errors.NotFound:
                return

    def keep_running(self, container: Container) -> None:
        with engine_errors(f"enable automatic restart of {container.name}"):
            # Not "unless-stopped": such containers stay stopped after the engine was killed.
            self._api.update_container(container.id, restart_policy={"Name": "always"})

    def resume(self, container: Container) -> None:
        with engine_errors(f"unpause the container {container.name}"):
            self._api.unpause(container.id)

    def restart(self, container: Container) -> None:
        with engine_errors(f"restart the container {container.name}"):
            self._api.restart(container.id, timeout=_HUNG_GRACE)

    def own_addresses(self, app_number: int, slot: Slot, index: int, spec: NetworkSpec) -> dict[str, bool]:
        found = network.find(self._connect(), self._names, spec)
        return {
            address(each.subnet, app_number, slot, index): each.ours
            for each in found
            if app_number <= app_count(each.subnet)
        }

    def reconnect(self, container: Container, app_number: int, spec: NetworkSpec) -> None:
        place = network.ensure(self._connect(), self._names, spec)
        fixed = address(place.subnet, app_number, container.slot, container.index)
        with engine_errors(f"connect the container {container.name} to the network"):
            api = self._api
            info = api.inspect_container(container.id)
            name, endpoint = endpoint_of(info, self._names)
            # The endpoint of a container that was never started has no network id.
            same = name == place.name and endpoint.get("NetworkID") in ("", place.id)
            if same and observed(info, self._names).address == fixed:
                return
            known = info["NetworkSettings"]["Networks"]
            for left in {name, place.name} & known.keys():
                if info["State"]["Running"] and not known[left].get("NetworkID"):
                    continue  # an earlier attempt to connect it has failed
                # With `force` also from a network that does not exist any more.
                api.disconnect_container_from_network(container.id, left, force=True)
        self._connect_at(container, place, fixed)

    def _connect_at(self, container: Container, place: network.Network, fixed: str) -> None:
        try:
            with engine_errors(f"connect the container {container.name} to the network"):
                self._api.connect_container_to_network(container.id, place.name, ipv4_address=fixed)
        except EngineError as error:
            holder = network.holder(self._connect(), place.id, fixed)
            if holder is None:
                raise
            raise EngineError(
                f"{container.name} cannot be connected to its network {place.name}",
                why=f"the container {holder} has its address {fixed}; disconnect it: docker network disconnect"
                f" --force {place.name} {holder}",
                hint="deployctl recover",
            ) from error

    def shared_networks(self, spec: NetworkSpec) -> dict[str, bool]:
        client = self._connect()
        found = [each for each in network.find(client, self._names, spec) if not each.isolated]
        return {each.name: each.ours for each in found if network.in_use(client, each.id, each.name)}

    def tidy(self) -> bool:
        return not self.containers() and network.remove(self._connect(), self._names)


def _is_initial_user_namespace(uid_map: Path = Path("/proc/self/uid_map")) -> bool:
    """Whether this process is outside of every user namespace, and so outside of a rootless engine's."""
    try:
        return uid_map.read_text().split() == ["0", "0", "4294967295"]
    except OSError:
        return True
