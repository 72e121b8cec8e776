"""Containers: how they are requested from the engine, and what the engine reports about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal

from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen

CONNECTED = ("running", "paused")
"""The states in which a container either is connected to a network now, or is detached."""


@frozen
class Container:
    """One container of deployctl, as the engine reports it now.

    `restarts` counts restarts by the engine since the container was last started by a user or by deployctl;
    `started_at` is in seconds since the epoch. `kept_running`: the engine restarts it whenever it ends. `address` is
    its IP address, empty when it has none. `out_of_memory`: the kernel has killed a process of it since its start.
    `pid` is its first process on the engine's machine, 0 when it does not run.
    """

    id: str
    name: str
    app: str
    version: str
    slot: Slot
    deployment: int
    index: int
    image_id: str
    state: str
    exit_code: int = 0
    restarts: int = 0
    kept_running: bool = False
    address: str = ""
    out_of_memory: bool = field(default=False, compare=False)
    started_at: float = field(default=0.0, compare=False)
    pid: int = field(default=0, compare=False)
    labels: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def detached(self) -> bool:
        """Whether it runs without being connected to its network: another container may have its address."""
        return self.state in CONNECTED and not self.address


@frozen
class Mount:
    """A folder of the host, mounted read-only into a container. It must exist when the container starts."""

    source: Path
    target: str


@frozen
class Runtime:
    """How a container runs. Sizes in bytes, times in seconds; None: no limit, or the image's own value.

    `volumes` are written as for `docker run --volume`, with absolute sources, and `devices` as for `--device`. `tmpfs`
    are folders in memory with their mount options, `ulimits` soft and hard limits, -1 for none. `gpus` is how many of
    the host's GPUs, or which. `networks` are joined besides the network of all apps, and must exist.
    """

    command: tuple[str, ...] = ()
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    volumes: tuple[str, ...] = ()
    memory: int | None = None
    cpus: float | None = None
    gpus: int | Literal["all"] | tuple[str, ...] | None = None
    shm_size: int | None = None
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    ipc: str | None = None
    networks: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    pids_limit: int | None = None
    read_only: bool = False
    init: bool = True
    cap_add: tuple[str, ...] = ()
    no_new_privileges: bool = True
    stop_timeout: float = 10.0
    log_max_size: int = 10_000_000
    log_max_files: int = 3
    log_driver: str = "json-file"
    log_options: Mapping[str, str] = field(default_factory=dict, repr=False)


@frozen
class NetworkSpec:
    """The network that the containers of an app share with those of other apps.

    Without a `name` it is that of the state folder; without a `subnet` a free range; `mtu` 0: that of the engine.
    """

    name: str = ""
    subnet: str = ""
    mtu: int = 0


@frozen
class WorkloadSpec:
    """One replica to create: what it is a replica of, and how it runs.

    `app_number` is the app's number in the state folder, assigned once and never to another app; an adapter may derive
    from it what apps must not share, such as addresses. `labels` are set on the container. `environment_file` is a file
    in the container that a shell reads before the command starts, for variables that the engine must not show; None:
    the command is started directly.
    """

    app: str
    app_number: int
    version: str
    slot: Slot
    index: int
    deployment: int
    image_id: str
    runtime: Runtime
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    network: NetworkSpec = NetworkSpec()
    environment_file: str | None = None


@frozen
class HostContainerSpec:
    """A container that serves all apps on the host's network, and is restarted whenever it ends.

    When the engine does not have `image`, it is built from the text `dockerfile` without a context. `bases` are the
    images that it begins with, by the names of the build arguments for them. `folder` is mounted at `target`, writable.
    `user` is `uid:gid`. It has no capabilities except `capabilities`.
    """

    name: str
    image: str
    dockerfile: str
    folder: Path
    target: str
    user: str
    bases: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()


@frozen
class HostImage:
    """An image of a host container. `built_at` is when it was built, in seconds since the epoch."""

    id: str
    built_at: float
