"""The sections of deploy.toml, and `Config`, which holds them all.

`Config.snapshot` keeps it for a later run, which must start a version as it was, whatever has become of the
file since.
"""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from orchestrator.config import values as read
from orchestrator.config.env_file import read_env_file
from orchestrator.config.explain import explain, printable
from orchestrator.config.ignoring import ignore_file, ignore_patterns
from orchestrator.config.section import Section
from orchestrator.config.types import (
    AppName,
    ArgValue,
    Capability,
    ContainerPath,
    Duration,
    DurationOrZero,
    EnvValue,
    Gpus,
    Hosts,
    Memory,
    ModelName,
    PresetName,
    Repository,
    SecretName,
    SecretSource,
    Size,
    Stage,
    Text,
    User,
    Variable,
    Volume,
    Words,
    written,
)
from orchestrator.config.watchdog import Notify, Watchdog
from orchestrator.domain import naming
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.rollout.workload import Runtime
from orchestrator.domain.traffic.route import Route
from orchestrator.domain.version.build import BuildSpec
from orchestrator.errors import ConfigError, Finding, UsageError

DEFAULT_HEALTH_PATH = "/healthz"


class App(Section):
    """The service."""

    name: AppName = Field(description="Name of the app; images are NAME:vN.")
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Where the server listens in its container; presets know a default.",
    )


class Build(Section):
    """How an image is built."""

    context: Text = Field(default=".", description="Folder that is sent to the builder.")
    dockerfile: Annotated[str, AfterValidator(read.inside)] = Field(
        default="Dockerfile", description="Relative to the context, and in it."
    )
    args: dict[Variable, ArgValue] = Field(default={}, repr=False, description="Build arguments.")
    target: Stage | None = Field(default=None, description="Stage to build; the last one without it.")
    builder: Literal["auto", "buildkit", "classic"] = Field(default="auto", description="What builds the image.")


class Model(Section):
    """Weights that are kept out of the image; each version's snapshot is mounted read-only."""

    path: Text = Field(description="Folder with the weights.")
    mount: ContainerPath = Field(default="/model", description="Where the container sees it.")


class Registry(Section):
    """Where images are kept beside the engine. Who may, the engine learns from `docker login`, never from here."""

    push: Repository | None = Field(
        default=None, description='Repository that gets each version, such as "registry.example.com:5000/mymodel".'
    )


class Run(Section):
    """How containers are started."""

    replicas: int = Field(default=1, ge=1, le=32, description="Containers of one version.")
    env: dict[Variable, EnvValue] = Field(default={}, repr=False, description="Environment variables.")
    env_file: Text | None = Field(default=None, description="File of KEY=VALUE lines; run.env wins.")
    secrets: dict[SecretName, SecretSource] = Field(
        default={}, repr=False, description='Files in /run/secrets: name = "env:NAME" or "file:PATH".'
    )
    command: Words | None = Field(default=None, description="Instead of what the image runs; no shell reads it.")
    memory: Memory | None = Field(default=None, description="Limit of each container's memory, at least 6m.")
    cpus: float | None = Field(
        default=None,
        ge=0.01,
        le=10000,
        allow_inf_nan=False,
        description="Limit of each container's processors.",
    )
    gpus: Gpus | None = Field(default=None, description='"all", or how many.')
    shm_size: Size | None = Field(default=None, description="Size of /dev/shm.")
    volumes: list[Volume] = Field(default=[], description='"source:/target", then ":ro" or ":rw" or nothing.')
    stop_timeout: Duration = written(10.0, "10s", "Time between SIGTERM and SIGKILL.")
    user: User | None = Field(default=None, description='"user" or "user:group".')
    cap_add: list[Capability] = Field(default=[], description="Linux capabilities to add.")
    no_new_privileges: bool = Field(default=True, description="Forbid to gain privileges, as by sudo.")
    pids_limit: int = Field(default=4096, ge=0, le=4194304, description="Most processes and threads; 0: no limit.")
    init: bool = Field(default=True, description="Start a small init as PID 1, which passes SIGTERM on.")
    read_only: bool = Field(default=False, description="Make the container's file system read-only.")
    log_max_size: Size = written(10 * 1024**2, "10m", "Size at which the container's log is rotated.")
    log_max_files: int = Field(default=3, ge=1, le=1000, description="Rotated logs to keep.")


class Health(Section):
    """When a version is ready for traffic."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["path", "preset"]}})

    path: Annotated[str, AfterValidator(read.url_path)] | None = Field(
        default=None,
        description=f"Path that answers 2xx when the model is ready; {DEFAULT_HEALTH_PATH} without a preset.",
    )
    preset: PresetName | None = Field(default=None, description="A known server instead of a path.")
    model: ModelName | None = Field(default=None, description="Name of the model that the preset asks about.")
    interval: Duration = written(0.5, "500ms", "Pause between two probes.")
    timeout: Duration = written(2.0, "2s", "Hard limit on one whole probe.")
    successes: int = Field(default=2, ge=1, le=100, description="Good answers in a row that make a version ready.")
    deadline: Duration = written(300.0, "5m", "Time for a version to become ready.")

    @model_validator(mode="before")
    @classmethod
    def _default_path(cls, data: Any) -> Any:
        if isinstance(data, dict) and "path" not in data and "preset" not in data:
            return {**data, "path": DEFAULT_HEALTH_PATH}
        return data


class Proxy(Section):
    """Where clients reach the app."""

    listen: Annotated[str, AfterValidator(read.listen)] = Field(
        default="127.0.0.1:8000", description='"address:port"; ":8000" listens on all addresses.'
    )
    host: Hosts = Field(default=[], description="DNS names that lead to this app; none: all of them.")
    path_prefix: Annotated[str, AfterValidator(read.path_prefix)] = Field(
        default="", description="Beginning of the paths that lead to this app."
    )
    strip_prefix: bool = Field(default=True, description="Take the prefix off before the model sees the path.")
    drain: DurationOrZero = written(30.0, "30s", "Time for running requests to finish after a switch.")
    timeout: Duration = written(3600.0, "1h", "Longest time that the model may take to answer.")
    metrics: Annotated[str, AfterValidator(read.listen)] | None = Field(
        default=None, description='"address:port" where the proxy tells Prometheus how it is, at /metrics.'
    )


class Rollout(Section):
    """How a version goes live."""

    strategy: Literal["blue-green"] = Field(default="blue-green", description="How traffic moves.")
    keep_warm: DurationOrZero = written(600.0, "10m", "How long the previous version keeps running.")
    bake: DurationOrZero = written(0.0, "0s", "How long a new version is watched before it counts as stable.")


class Retention(Section):
    """What is kept."""

    versions: int = Field(default=5, ge=2, le=10000, description="Versions whose images are kept for a rollback.")


class Git(Section):
    """What is asked of Git, and written to it."""

    tag: bool = Field(default=False, description="Write an annotated tag NAME/vN when a version has become stable.")
    require_clean: bool = Field(default=False, description="Release only what is committed.")


class Config(Section):
    """All of deploy.toml. Made by `load`, `parse` or `from_snapshot`, which resolve and check it."""

    app: App
    build: Build = Field(default_factory=Build)
    model: Model | None = None
    registry: Registry = Field(default_factory=Registry)
    run: Run = Field(default_factory=Run)
    health: Health = Field(default_factory=Health)
    proxy: Proxy = Field(default_factory=Proxy)
    rollout: Rollout = Field(default_factory=Rollout)
    retention: Retention = Field(default_factory=Retention)
    git: Git = Field(default_factory=Git)
    watchdog: Watchdog = Field(default_factory=Watchdog)
    notify: Notify = Field(default_factory=Notify)

    _base: Path = PrivateAttr(default_factory=Path)
    _source: str = PrivateAttr(default="deploy.toml")
    # Read once: all containers of a deployment get the same environment, whoever edits the file meanwhile.
    _environment: dict[str, str] | None = PrivateAttr(default=None)

    @property
    def base(self) -> Path:
        """The folder of deploy.toml; relative paths start here."""
        return self._base

    @property
    def source(self) -> str:
        """The name of the file, for messages."""
        return self._source

    @property
    def context_dir(self) -> Path:
        """The build context."""
        return under(self._base, self.build.context)

    @property
    def dockerfile_path(self) -> Path:
        """The Dockerfile, in the context. Nobody has checked that it exists."""
        return self.context_dir / self.build.dockerfile

    @property
    def model_dir(self) -> Path | None:
        """The folder with the weights, if the app keeps them out of the image."""
        return under(self._base, self.model.path) if self.model else None

    @property
    def port(self) -> int:
        """Where the server listens in its container."""
        if self.app.port is not None:
            return self.app.port
        from orchestrator.domain.health.presets import PRESETS

        return PRESETS[self.health.preset or ""].port

    def environment(self) -> dict[str, str]:
        """The containers' variables: those of run.env_file, then those of run.env."""
        if self._environment is None:
            values, findings = read_env_file(under(self._base, self.run.env_file or ""))
            if findings:
                raise ConfigError(self._source, findings)
            self._environment = {**values, **self.run.env}
        return dict(self._environment)

    def route(self) -> Route:
        """The proxy's part, as the proxy knows it."""
        proxy = self.proxy
        hosts, metrics = tuple(proxy.host), proxy.metrics or ""
        return Route(proxy.listen, hosts, proxy.path_prefix, proxy.strip_prefix, proxy.timeout, metrics)

    def runtime(self) -> Runtime:
        """How containers run, as the engine is asked for it."""
        run = self.run
        return Runtime(
            command=tuple(run.command or ()),
            user=run.user,
            environment=self.environment(),
            volumes=tuple(run.volumes),
            memory=run.memory,
            cpus=run.cpus,
            gpus=run.gpus,
            shm_size=run.shm_size,
            pids_limit=run.pids_limit or None,
            read_only=run.read_only,
            init=run.init,
            cap_add=tuple(run.cap_add),
            no_new_privileges=run.no_new_privileges,
            stop_timeout=run.stop_timeout,
            log_max_size=run.log_max_size,
            log_max_files=run.log_max_files,
        )

    def build_spec(self, version: str, labels: Mapping[str, str]) -> BuildSpec:
        """What the image of a version is built from.

        Raises:
            UsageError: the ignore file cannot be read.
        """
        try:
            ignore = tuple(ignore_patterns(self))
        except OSError as error:
            raise UsageError(
                f"{printable(ignore_file(self))} cannot be read", why=error.strerror or str(error)
            ) from error
        return BuildSpec(
            tag=naming.image(self.app.name, version),
            context=self.context_dir,
            dockerfile=self.build.dockerfile,
            target=self.build.target,
            args=dict(self.build.args),
            ignore=ignore,
            labels=labels,
            builder=self.build.builder,
        )

    def run_digest(self) -> str:
        """The digest of all that containers are started with; the same digest means no reason to start new ones."""
        stored = self.snapshot()
        parts = {key: stored[key] for key in ("port", "environment", "run", "health", "model")}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def probe_spec(self) -> ProbeSpec:
        """How to ask this app whether it is ready."""
        health = self.health
        asked: dict[str, Any] = {"path": health.path or DEFAULT_HEALTH_PATH}
        if health.preset:
            # Only here, so that commands that probe nothing start fast.
            from orchestrator.domain.health.presets import resolve

            preset = resolve(health.preset, health.model)
            asked = {name: getattr(preset, name) for name in ("path", "body", "failed_body", "statuses")}
        return ProbeSpec(
            port=self.port,
            interval=health.interval,
            timeout=health.timeout,
            successes=health.successes,
            deadline=health.deadline,
            **asked,
        )

    def snapshot(self) -> dict[str, Any]:
        """All that a later run needs, ready for JSON. It holds the environment, passwords and all.

        Whom to tell is none of a version's business, and the URLs hold passwords of others: they stay in the file.
        """
        return {
            **self.model_dump(mode="json", exclude={"notify": True, "watchdog": {"heartbeat"}}),
            "port": self.port,
            "environment": self.environment(),
            "base": str(self._base),
            "source": self._source,
        }

    @classmethod
    def from_snapshot(cls, data: Mapping[str, Any]) -> Config:
        """The Config that `snapshot` was taken of. Looks at no file: they may have changed since."""
        sections = {name: value for name, value in data.items() if name in cls.model_fields}
        source = str(data.get("source", "deploy.toml"))
        try:
            config = cls.model_validate(sections, context={"resolved": True})
            config._base = Path(str(data["base"]))
            config._source = source
            config._environment = _texts().validate_python(data["environment"])
        except ValidationError as error:
            findings = [finding for _, finding in explain(error, keys())]
        except KeyError as error:
            findings = [Finding(str(error.args[0]), "missing")]
        else:
            return config
        raise ConfigError(f"stored settings of {source}", findings)


@cache
def _texts() -> TypeAdapter[dict[str, str]]:
    return TypeAdapter(dict[str, str])


def keys() -> dict[str, list[str]]:
    """The sections, and the keys that each may hold."""
    sections = (App, Build, Model, Registry, Run, Health, Proxy, Rollout, Retention, Git, Watchdog, Notify)
    return {section.__name__.lower(): list(section.model_fields) for section in sections}


def under(base: Path, path: str) -> Path:
    # Not Path.resolve: a symlink is to be followed when it is used, not when the file is read.
    return Path(os.path.normpath(base / path))
