"""Containers in the engine's terms: the arguments for their creation, and the result of an inspection."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from orchestrator.adapters.docker.network import names_of
from orchestrator.domain import naming
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import CONNECTED, Container, NetworkSpec, Runtime, WorkloadSpec
from orchestrator.domain.traffic.slot import SLOTS
from orchestrator.frozen import frozen

# Reads the file of the variables, its own name, and becomes the command: as PID 1, or below the init process.
_WITH_VARIABLES = ("/bin/sh", "-c", '. "$0" && exec "$@"')


def description(
    api: Any, names: Names, spec: WorkloadSpec, address: str, network: str, image: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of the SDK's `create_container`, for a container with an address in a network.

    `image` are the settings of its image, as an inspection has them.

    The container has only the capabilities of the spec, and the engine does not restart it.
    """
    runtime = spec.runtime
    entrypoint, command = None, list(runtime.command)
    if spec.environment_file:
        started = image_command(image)
        entrypoint = [*_WITH_VARIABLES, spec.environment_file, *started.entrypoint]
        command = command or list(started.command)
    return {
        "name": names.container(spec.app, spec.version, spec.slot, spec.index),
        "image": spec.image_id,
        "entrypoint": entrypoint,
        "command": command or None,
        "user": runtime.user,
        "environment": dict(runtime.environment),
        "labels": _labels(names, spec),
        "host_config": _host_config(api, names, spec, network, image.get("Volumes") or ()),
        "networking_config": api.create_networking_config({network: api.create_endpoint_config(ipv4_address=address)}),
        "stop_timeout": max(1, round(runtime.stop_timeout)),
    }


@frozen
class ImageCommand:
    """What an image starts."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def image_command(settings: Mapping[str, Any]) -> ImageCommand:
    """What an image starts, by its settings in its inspection."""
    return ImageCommand(tuple(settings.get("Entrypoint") or ()), tuple(settings.get("Cmd") or ()))


def _host_config(api: Any, names: Names, spec: WorkloadSpec, network: str, volumes: Iterable[str]) -> dict[str, Any]:
    from docker.types import LogConfig, Mount, Ulimit

    runtime = spec.runtime
    # Volumes of the user are binds, for which the engine creates a missing folder; the source of a mount must exist.
    mounts = [Mount(mount.target, str(mount.source), type="bind", read_only=True) for mount in spec.mounts]
    # The engine would make the volumes of the image as well, but without a label nobody knows whose they are.
    labels = {naming.LABEL_STATE: names.state_id, naming.LABEL_APP: spec.app}
    mounts += [Mount(target, None, labels=labels) for target in _own_volumes(spec, volumes)]
    security = ["no-new-privileges"] if runtime.no_new_privileges else []
    if any(volume.endswith("Z") for volume in runtime.volumes):
        security.append(f"label=level:{_level(names, spec.app)}")
    config: dict[str, Any] = api.create_host_config(
        network_mode=network,
        binds=list(runtime.volumes),
        mounts=mounts,
        init=runtime.init,
        cap_drop=["ALL"],
        cap_add=list(runtime.cap_add),
        security_opt=security,
        pids_limit=runtime.pids_limit,
        mem_limit=runtime.memory,
        nano_cpus=int(runtime.cpus * 1e9) if runtime.cpus else None,
        shm_size=runtime.shm_size,
        read_only=runtime.read_only,
        tmpfs=dict(runtime.tmpfs) or None,
        devices=list(runtime.devices),
        ulimits=[Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in runtime.ulimits.items()],
        ipc_mode=runtime.ipc,
        dns=list(runtime.dns),
        extra_hosts=dict(runtime.extra_hosts),
        device_requests=_gpus(runtime.gpus),
        # The engine must not restart it while it is probed: an exit means that the probe failed.
        restart_policy={"Name": "no"},
        log_config=LogConfig(type=runtime.log_driver, config=_log_options(runtime)),
    )
    return config


def _own_volumes(spec: WorkloadSpec, volumes: Iterable[str]) -> list[str]:
    """The volumes of the image that nothing of deploy.toml replaces."""
    runtime = spec.runtime
    mounted = [volume.split(":")[1] for volume in runtime.volumes] + [mount.target for mount in spec.mounts]
    taken = {posixpath.normpath(path) for path in [*mounted, *runtime.tmpfs]}
    return sorted({posixpath.normpath(path) for path in volumes if path.startswith("/")} - taken - {"/"})


def _log_options(runtime: Runtime) -> dict[str, str]:
    # Other drivers refuse the limits.
    limited = runtime.log_driver in ("json-file", "local")
    limits = {"max-size": str(runtime.log_max_size), "max-file": str(runtime.log_max_files)} if limited else {}
    return {**limits, **runtime.log_options}


def _level(names: Names, app: str) -> str:
    """A level of SELinux for all containers of an app.

    With Z the engine gives a folder the level of the container that starts. Each container would have a level of its
    own, and the version that serves would lose its files when the next one starts.
    """
    digest = hashlib.sha256(f"{names.state_id}/{app}".encode()).digest()
    first, distance = int.from_bytes(digest[:2]) % 1024, 1 + int.from_bytes(digest[2:4]) % 1023
    low, high = sorted((first, (first + distance) % 1024))
    return f"s0:c{low},c{high}"


def _labels(names: Names, spec: WorkloadSpec) -> dict[str, str]:
    return {
        **spec.labels,
        naming.LABEL_STATE: names.state_id,
        naming.LABEL_APP: spec.app,
        naming.LABEL_VERSION: spec.version,
        naming.LABEL_SLOT: spec.slot,
        naming.LABEL_DEPLOYMENT: str(spec.deployment),
        naming.LABEL_INDEX: str(spec.index),
        naming.LABEL_NUMBER: str(spec.app_number),
    }


def _gpus(gpus: int | str | tuple[str, ...] | None) -> list[Any] | None:
    if gpus is None:
        return None
    from docker.types import DeviceRequest

    if isinstance(gpus, tuple):
        return [DeviceRequest(device_ids=list(gpus), capabilities=[["gpu"]])]
    return [DeviceRequest(count=-1 if gpus == "all" else int(gpus), capabilities=[["gpu"]])]


def inspections(api: Any, names: Names, app: str | None = None) -> list[dict[str, Any]]:
    """The inspection of each container of all apps of the state folder, or of one app, sorted by name."""
    import docker.errors

    # A container inherits the labels of its image, so a container that another program created from it has them
    # too. Only deployctl adds the label of the deployment.
    labels = [f"{naming.LABEL_STATE}={names.state_id}", naming.LABEL_DEPLOYMENT]
    if app is not None:
        labels.append(f"{naming.LABEL_APP}={app}")
    inspected = []
    for row in api.containers(all=True, filters={"label": labels}):
        try:
            inspected.append(api.inspect_container(row["Id"]))
        except docker.errors.NotFound:
            continue  # it was removed between the two requests
    return sorted(inspected, key=lambda info: str(info["Name"]))


def endpoint_of(info: dict[str, Any], names: Names) -> tuple[str, dict[str, Any]]:
    """The name of the network through which the proxy reaches a container, and its endpoint there; empty without one.

    People may connect it to other networks as well, but deployctl alone gives it a fixed address.
    """
    networks: dict[str, dict[str, Any]] = info["NetworkSettings"]["Networks"] or {}
    plain = [name for name in names_of(names, NetworkSpec()) if name in networks]
    fixed = [name for name, each in networks.items() if (each.get("IPAMConfig") or {}).get("IPv4Address")]
    for name in (*(name for name in plain if name in fixed), *fixed, *plain):
        return name, networks[name]
    return "", {}


def observed(info: dict[str, Any], names: Names) -> Container:
    """The container that an inspection describes."""
    labels = info["Config"].get("Labels") or {}
    _, endpoint = endpoint_of(info, names)
    state = info["State"]
    # The address that it gets when it starts. A running one without an address is not connected: when the engine could
    # not connect it, it still has this entry, and another container may have the address.
    fixed = (endpoint.get("IPAMConfig") or {}).get("IPv4Address", "") if state["Status"] not in CONNECTED else ""
    return Container(
        id=info["Id"],
        name=info["Name"].lstrip("/"),
        app=labels.get(naming.LABEL_APP, ""),
        version=labels.get(naming.LABEL_VERSION, ""),
        slot="green" if labels.get(naming.LABEL_SLOT) == SLOTS[1] else "blue",
        deployment=_number(labels.get(naming.LABEL_DEPLOYMENT), 0),
        index=_number(labels.get(naming.LABEL_INDEX), 1),
        image_id=info["Image"],
        state=state["Status"],
        exit_code=int(state.get("ExitCode", 0)),
        restarts=int(info.get("RestartCount", 0)),
        kept_running=info["HostConfig"]["RestartPolicy"]["Name"] == "always",
        address=endpoint.get("IPAddress") or fixed,
        out_of_memory=bool(state.get("OOMKilled")),
        started_at=_epoch(state.get("StartedAt", "")),
        pid=int(state.get("Pid") or 0),
        labels=labels,
    )


def _number(text: str | None, otherwise: int) -> int:
    """The number in a label; `otherwise` if the label is missing or not a number."""
    try:
        return int(text or otherwise)
    except ValueError:
        return otherwise


def _epoch(text: str) -> float:
    """Seconds since the epoch. The engine writes nanoseconds, and the year 1 if it has not happened."""
    try:
        return max(0.0, datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())
    except ValueError:
        return 0.0
