"""[run]: how containers are started."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import (
    Address,
    Capability,
    Device,
    Duration,
    EnvValue,
    ExtraHosts,
    Gpus,
    LogDriver,
    LogOption,
    Memory,
    Network,
    SecretName,
    SecretSource,
    Size,
    Text,
    Tmpfs,
    Ulimit,
    UlimitName,
    User,
    Variable,
    Volume,
    Words,
    written,
)
from orchestrator.domain.traffic.slot import SLOTS, Slot


class Run(Section):
    """How containers are started."""

    replicas: int = Field(default=1, ge=1, le=32, description="Containers of one version.")
    env: dict[Variable, EnvValue] = Field(default={}, repr=False, description="Environment variables.")
    env_file: Text | None = Field(default=None, description="File of NAME=VALUE lines; run.env takes precedence.")
    secrets: dict[SecretName, SecretSource] = Field(
        default={}, repr=False, description='Files in /run/secrets: name = "env:NAME" or "file:PATH".'
    )
    secret_env: dict[Variable, SecretSource] = Field(
        default={}, repr=False, description='Environment variables that docker inspect does not show: as in "secrets".'
    )
    command: Words | None = Field(default=None, description="Overrides the command of the image; not run in a shell.")
    memory: Memory | None = Field(default=None, description="Memory limit of each container, at least 6m.")
    cpus: float | None = Field(
        default=None,
        ge=0.01,
        le=10000,
        allow_inf_nan=False,
        description="CPU limit of each container.",
    )
    gpus: Gpus | None = Field(default=None, description='"all", the number of GPUs, or their ids.')
    shm_size: Size | None = Field(default=None, description="Size of /dev/shm.")
    volumes: list[Volume] = Field(
        default=[], description='"source:/target", optionally with ":ro" or ":rw", and ":z" or ":Z" (SELinux).'
    )
    tmpfs: Tmpfs = Field(default=[], description='Folders in memory: "/tmp", or with options "/tmp:size=64m".')
    devices: list[Device] = Field(default=[], description='Devices of the host: "/dev/x" or "/dev/x:/dev/y:rw".')
    ulimits: dict[UlimitName, Ulimit] = Field(default={}, description='Limits: name = both, or "soft:hard".')
    ipc: Literal["private", "shareable", "host", "none"] | None = Field(
        default=None, description="IPC namespace; default: the engine's, which is private."
    )
    networks: list[Network] = Field(default=[], description="Networks of the engine to join, besides deployctl's own.")
    dns: list[Address] = Field(default=[], description="DNS servers, by address.")
    extra_hosts: ExtraHosts = Field(default={}, description='Lines of /etc/hosts: name = address, or "host-gateway".')
    stop_timeout: Duration = written(10.0, "10s", "Time between SIGTERM and SIGKILL.")
    user: User | None = Field(default=None, description='"user" or "user:group".')
    cap_add: list[Capability] = Field(default=[], description="Linux capabilities to add.")
    no_new_privileges: bool = Field(default=True, description="Prevent processes from gaining privileges.")
    pids_limit: int = Field(default=4096, ge=0, le=4194304, description="Limit of processes and threads; 0: no limit.")
    init: bool = Field(default=True, description="Run an init process as PID 1, which forwards SIGTERM.")
    read_only: bool = Field(default=False, description="Make the container's file system read-only.")
    log_max_size: Size = written(10 * 1024**2, "10m", "Size at which the container's log is rotated.")
    log_max_files: int = Field(default=3, ge=1, le=1000, description="Number of rotated logs to keep.")
    log_driver: LogDriver = Field(default="json-file", description="Where the container's log goes.")
    log_options: dict[LogOption, EnvValue] = Field(
        default={}, repr=False, description="Options of the logging driver, as in docker run --log-opt."
    )

    def gpus_of(self, slot: Slot, index: int) -> int | Literal["all"] | tuple[str, ...] | None:
        """The GPUs of one replica (from 1): its own; a list that is too short for both slots is shared by them."""
        if not isinstance(self.gpus, list | dict):
            return self.gpus
        if isinstance(self.gpus, dict):
            ids = self.gpus[slot]
        elif len(self.gpus) >= len(SLOTS) * self.replicas:
            half = len(self.gpus) // len(SLOTS)
            ids = self.gpus[half * SLOTS.index(slot) :][:half]
        else:
            ids = self.gpus
        each = len(ids) // self.replicas
        return tuple(ids[each * (index - 1) :][:each])
