"""All of deploy.toml: `Config`, which has one attribute for each section.

`Config.snapshot` stores it for a later run, which must start a version as it was even when the file has changed.
"""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, TypeAdapter, ValidationError

from orchestrator.config.app import App
from orchestrator.config.build import Build
from orchestrator.config.engine import Engine
from orchestrator.config.env_file import read_env_file
from orchestrator.config.explain import explain
from orchestrator.config.git import Git
from orchestrator.config.health import DEFAULT_HEALTH_PATH, Health
from orchestrator.config.ignoring import ignore_patterns, withheld
from orchestrator.config.judge import Judge
from orchestrator.config.model import Model
from orchestrator.config.notify import Notify
from orchestrator.config.proxy import Proxy
from orchestrator.config.registry import Registry
from orchestrator.config.retention import Retention
from orchestrator.config.rollout import Rollout
from orchestrator.config.run import Run
from orchestrator.config.secrets import build_secrets
from orchestrator.config.section import Section
from orchestrator.config.watchdog import Watchdog
from orchestrator.domain import naming
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.rollout.workload import NetworkSpec, Runtime
from orchestrator.domain.traffic.route import EVERYBODY, LOOPBACK, Route
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.build import BuildSpec
from orchestrator.errors import ConfigError, Finding

_LIVE_STATUSES = (200, 499)


class Config(Section):
    """All of deploy.toml. Use `load`, `parse` or `from_snapshot` to create it: they resolve and check it."""

    app: App
    build: Build = Field(default_factory=Build)
    model: Model | None = None
    registry: Registry = Field(default_factory=Registry)
    engine: Engine = Field(default_factory=Engine)
    run: Run = Field(default_factory=Run)
    health: Health = Field(default_factory=Health)
    proxy: Proxy = Field(default_factory=Proxy)
    rollout: Rollout = Field(default_factory=Rollout)
    judge: Judge = Field(default_factory=Judge)
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
        """The path of the file, for messages."""
        return self._source

    @property
    def context_dir(self) -> Path:
        """The build context."""
        return under(self._base, self.build.context)

    @property
    def dockerfile_path(self) -> Path:
        """The Dockerfile, in the context. It may not exist."""
        return self.context_dir / self.build.dockerfile

    @property
    def model_dir(self) -> Path | None:
        """The folder with the weights, if the app keeps them out of the image."""
        return under(self._base, self.model.path) if self.model else None

    @property
    def port(self) -> int:
        """The port on which the server listens in its container."""
        if self.app.port is not None:
            return self.app.port
        from orchestrator.domain.health.presets import PRESETS

        return PRESETS[self.health.preset or ""].port

    def environment(self) -> dict[str, str]:
        """The environment of the containers: run.env_file, overridden by run.env.

        Raises:
            ConfigError: run.env_file cannot be read, or is invalid.
        """
        if self._environment is None:
            values, findings = read_env_file(under(self._base, self.run.env_file or ""))
            if findings:
                raise ConfigError(self._source, findings)
            self._environment = {**values, **self.run.env}
        return dict(self._environment)

    def route(self) -> Route:
        """What the proxy needs to know about the app."""
        proxy = self.proxy
        hosts, metrics = tuple(proxy.host), proxy.metrics or ""
        trusted = {"loopback": LOOPBACK, "all": EVERYBODY}.get(str(proxy.trust_forwarded))
        return Route(
            proxy.listen,
            hosts,
            proxy.path_prefix,
            proxy.strip_prefix,
            proxy.timeout,
            metrics,
            trusted if trusted is not None else tuple(proxy.trust_forwarded),
            proxy.preview or "",
            tuple(self.rollout.shield_methods),
            proxy.sticky,
        )

    def patience(self) -> float:
        """How long the newer version may take to begin its answer, in seconds: never longer than proxy.timeout."""
        return min(self.rollout.patience, self.proxy.timeout)

    def network(self) -> NetworkSpec:
        """The network of the containers."""
        engine = self.engine
        # "deployctl" stands for the network of the state folder, whose name contains a digest in some folders.
        name = "" if engine.network in (None, "deployctl") else str(engine.network)
        return NetworkSpec(name, engine.subnet or "", engine.mtu or 0)

    def runtime(self, slot: Slot, index: int) -> Runtime:
        """How the engine starts a replica; `index` is from 1."""
        run = self.run
        return Runtime(
            command=tuple(run.command or ()),
            user=run.user,
            environment=self.environment(),
            volumes=tuple(run.volumes),
            memory=run.memory,
            cpus=run.cpus,
            gpus=run.gpus_of(slot, index),
            tmpfs=dict(_pair(folder) for folder in run.tmpfs),
            devices=tuple(run.devices),
            ulimits={name: _limits(text) for name, text in run.ulimits.items()},
            ipc=run.ipc,
            networks=tuple(dict.fromkeys(run.networks)),
            dns=tuple(run.dns),
            extra_hosts=dict(run.extra_hosts),
            shm_size=run.shm_size,
            pids_limit=run.pids_limit or None,
            read_only=run.read_only,
            init=run.init,
            cap_add=tuple(run.cap_add),
            no_new_privileges=run.no_new_privileges,
            stop_timeout=run.stop_timeout,
            log_max_size=run.log_max_size,
            log_max_files=run.log_max_files,
            log_driver=run.log_driver,
            log_options=dict(run.log_options),
        )

    def build_spec(self, version: str, labels: Mapping[str, str]) -> BuildSpec:
        """What the image of a version is built from.

        Raises:
            UsageError: the ignore file cannot be read, or is invalid.
            SecretUnavailable: a value of build.secrets is not available.
        """
        return BuildSpec(
            tag=naming.image(self.app.name, version),
            context=self.context_dir,
            dockerfile=self.build.dockerfile,
            target=self.build.target,
            args=dict(self.build.args),
            secrets=build_secrets(self),
            network=self.build.network,
            ignore=ignore_patterns(self),
            withheld=withheld(self),
            labels=labels,
            builder=self.build.builder,
        )

    def run_digest(self) -> str:
        """The digest of everything that containers are started with; with the same digest no new ones are needed."""
        stored = self.snapshot()
        parts = {key: stored[key] for key in ("port", "environment", "run", "health", "model")}
        if self.model is not None:
            parts["model"] = {key: value for key, value in parts["model"].items() if key != "ignore"}
        if self.network() != NetworkSpec():
            # Only then: a digest from before this section stays the same.
            parts["engine"] = stored["engine"]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def probe_spec(self) -> ProbeSpec:
        """How to probe whether a container of this app is ready; see `release/probes.py` for one that was ready."""
        health = self.health
        asked: dict[str, Any] = {"path": health.path or DEFAULT_HEALTH_PATH}
        if health.preset:
            # Imported here, so that commands that probe nothing start fast.
            from orchestrator.domain.health.presets import resolve

            preset = resolve(health.preset, health.model)
            asked = {name: getattr(preset, name) for name in ("path", "body", "failed_body", "statuses", "otherwise")}
        names = (name for name in self.proxy.host if not name.startswith("*."))
        return ProbeSpec(
            port=health.port or self.port,
            host=health.host or next(names, "localhost"),
            interval=health.interval,
            timeout=health.timeout,
            successes=health.successes,
            deadline=health.deadline,
            **asked,
        )

    def live_spec(self) -> ProbeSpec | None:
        """How to ask whether the process of a container lives; None: any HTTP answer to a probe shows that.

        A server error on this path says that it does not. Other answers, a 404 too, show that it does.
        """
        health, spec = self.health, self.probe_spec()
        path = health.live_path
        if path is None and health.preset:
            from orchestrator.domain.health.presets import resolve

            path = resolve(health.preset, health.model).live_path
        if path is None or (health.live_path is None and path == spec.path):
            return None
        return replace(spec.at(path), body=None, failed_body=None, statuses=_LIVE_STATUSES)

    def snapshot(self) -> dict[str, Any]:
        """Everything that a later run needs, ready for JSON. It contains the environment, with its passwords.

        Notification URLs do not belong to a version and contain other passwords: they stay in the file.
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
        """The Config from which `snapshot` was made. Reads no file: they may have changed since.

        Raises:
            ConfigError: the snapshot is incomplete or invalid.
        """
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
    sections = (App, Build, Model, Registry, Engine, Run, Health, Proxy, Rollout, Judge, Retention, Git, Watchdog)
    return {section.__name__.lower(): list(section.model_fields) for section in (*sections, Notify)}


def _pair(text: str) -> tuple[str, str]:
    before, _, after = text.partition(":")
    return before, after


def _limits(text: str) -> tuple[int, int]:
    soft, hard = map(int, _pair(text))
    return soft, hard


def under(base: Path, path: str) -> Path:
    """`path`, relative to `base` unless it is absolute."""
    # Not Path.resolve: a symlink is followed when it is used, not when deploy.toml is read.
    return Path(os.path.normpath(base / path))
