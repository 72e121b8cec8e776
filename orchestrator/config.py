"""deploy.toml: what an app is, how it is built, run, probed and routed.

`load` reads and checks the file and reports everything that is wrong with it at once. What comes out is
frozen and resolved: seconds, bytes, absolute volumes, a port. `Config.snapshot` keeps it for a later run,
which must start a version as it was, whatever has become of the file since.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from orchestrator import config_errors as read
from orchestrator.core.health import ProbeSpec
from orchestrator.errors import ConfigError, Finding, UsageError

PresetName = Literal[
    "kserve-v2", "kserve-v1", "tf-serving", "torchserve", "cog", "mlflow", "sagemaker", "bentoml", "openai"
]
PRESET_NAMES: tuple[str, ...] = get_args(PresetName)
MODEL_PRESETS = ("kserve-v2", "kserve-v1", "tf-serving")
"""The presets that can ask about one model by its name."""
DEFAULT_HEALTH_PATH = "/healthz"
_LARGEST_FILE = 1024 * 1024

# --- the types of values ---------------------------------------------------------------------------------

_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_DURATION = WithJsonSchema({"type": "string", "pattern": read.DURATION, "examples": ["500ms", "1m30s"]})
_SIZE = WithJsonSchema(
    {
        "anyOf": [{"type": "string", "pattern": read.SIZE}, {"type": "integer", "minimum": 1}],
        "examples": ["2g"],
    }
)
_ONE_OR_MANY = WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]})
_SCALAR = WithJsonSchema({"type": ["string", "integer", "number", "boolean"]})
_GPUS = WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1, "maximum": 1024}]})


def _not_reserved(name: str) -> str:
    if name == "deployctl":
        raise read.Invalid("'deployctl' is reserved: deployctl's own network has this name")
    return name


def _matching(pattern: str, words: str) -> tuple[AfterValidator, WithJsonSchema]:
    schema = {"type": "string", "pattern": f"^{pattern.strip('^$')}$"}
    return AfterValidator(read.matching(pattern, words)), WithJsonSchema(schema)


Text = Annotated[str, AfterValidator(read.some_text)]
Word = Annotated[str, AfterValidator(read.plain_text)]
AppName = Annotated[
    str,
    *_matching(_NAME, "expected at most 40 small letters, digits and hyphens, no hyphen first or last"),
    AfterValidator(_not_reserved),
]
Variable = Annotated[str, *_matching(read.VARIABLE, "a name has letters, digits and underscores, and no digit first")]
ArgValue = Annotated[str, BeforeValidator(read.scalar), AfterValidator(read.plain_text), _SCALAR]
EnvValue = Annotated[str, BeforeValidator(read.scalar), AfterValidator(read.env_text), _SCALAR]
Stage = Annotated[str, *_matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "expected the name of a build stage")]
User = Annotated[str, *_matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_.-]+)?", 'expected "user" or "user:group"')]
Capability = Annotated[str, *_matching(r"[A-Z][A-Z0-9_]*", 'expected a capability such as "SYS_NICE"')]
ModelName = Annotated[str, *_matching(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}", "expected letters, digits, ._~-")]
Duration = Annotated[float, BeforeValidator(read.duration), _DURATION]
DurationOrZero = Annotated[float, BeforeValidator(read.duration_or_zero), _DURATION]
Size = Annotated[int, BeforeValidator(read.size), _SIZE]
Memory = Annotated[int, BeforeValidator(read.memory_size), _SIZE]
Gpus = Annotated[Literal["all"] | int, BeforeValidator(read.gpus), _GPUS]
Words = Annotated[list[Word], BeforeValidator(read.command), _ONE_OR_MANY]
Hosts = Annotated[list[Annotated[str, AfterValidator(read.host_name)]], BeforeValidator(read.one_or_many), _ONE_OR_MANY]
ContainerPath = Annotated[str, AfterValidator(read.container_path)]
Volume = Annotated[str, AfterValidator(read.volume)]


def _written(default: float | int | str, written: str, description: str) -> Any:
    """A default that the schema shows as a person would write it."""
    return Field(default=default, description=description, json_schema_extra={"default": written})


# --- the sections ----------------------------------------------------------------------------------------


class Section(BaseModel):
    """What all sections have in common: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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


class Run(Section):
    """How containers are started."""

    replicas: int = Field(default=1, ge=1, le=32, description="Containers of one version.")
    env: dict[Variable, EnvValue] = Field(default={}, repr=False, description="Environment variables.")
    env_file: Text | None = Field(default=None, description="File of KEY=VALUE lines; run.env wins.")
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
    stop_timeout: Duration = _written(10.0, "10s", "Time between SIGTERM and SIGKILL.")
    user: User | None = Field(default=None, description='"user" or "user:group".')
    cap_add: list[Capability] = Field(default=[], description="Linux capabilities to add.")
    no_new_privileges: bool = Field(default=True, description="Forbid to gain privileges, as by sudo.")
    pids_limit: int = Field(default=4096, ge=0, le=4194304, description="Most processes and threads; 0: no limit.")
    init: bool = Field(default=True, description="Start a small init as PID 1, which passes SIGTERM on.")
    read_only: bool = Field(default=False, description="Make the container's file system read-only.")
    log_max_size: Size = _written(10 * 1024**2, "10m", "Size at which the container's log is rotated.")
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
    interval: Duration = _written(0.5, "500ms", "Pause between two probes.")
    timeout: Duration = _written(2.0, "2s", "Hard limit on one whole probe.")
    successes: int = Field(default=2, ge=1, le=100, description="Good answers in a row that make a version ready.")
    deadline: Duration = _written(300.0, "5m", "Time for a version to become ready.")

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
    drain: DurationOrZero = _written(30.0, "30s", "Time for running requests to finish after a switch.")
    timeout: Duration = _written(3600.0, "1h", "Longest time that the model may take to answer.")


class Rollout(Section):
    """How a version goes live."""

    strategy: Literal["blue-green"] = Field(default="blue-green", description="How traffic moves.")
    keep_warm: DurationOrZero = _written(600.0, "10m", "How long the previous version keeps running.")


class Retention(Section):
    """What is kept."""

    versions: int = Field(default=5, ge=2, le=10000, description="Versions whose images are kept for a rollback.")


class Config(Section):
    """All of deploy.toml. Made by `load`, `parse` or `from_snapshot`, which resolve and check it."""

    app: App
    build: Build = Field(default_factory=Build)
    model: Model | None = None
    run: Run = Field(default_factory=Run)
    health: Health = Field(default_factory=Health)
    proxy: Proxy = Field(default_factory=Proxy)
    rollout: Rollout = Field(default_factory=Rollout)
    retention: Retention = Field(default_factory=Retention)

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
        return _under(self._base, self.build.context)

    @property
    def dockerfile_path(self) -> Path:
        """The Dockerfile, in the context. Nobody has checked that it exists."""
        return self.context_dir / self.build.dockerfile

    @property
    def model_dir(self) -> Path | None:
        """The folder with the weights, if the app keeps them out of the image."""
        return _under(self._base, self.model.path) if self.model else None

    @property
    def port(self) -> int:
        """Where the server listens in its container."""
        if self.app.port is not None:
            return self.app.port
        from orchestrator.core.presets import PRESETS

        return PRESETS[self.health.preset or ""].port

    def environment(self) -> dict[str, str]:
        """The containers' variables: those of run.env_file, then those of run.env."""
        if self._environment is None:
            values, findings = _read_env_file(_under(self._base, self.run.env_file or ""))
            if findings:
                raise ConfigError(self._source, findings)
            self._environment = {**values, **self.run.env}
        return dict(self._environment)

    def probe_spec(self) -> ProbeSpec:
        """How to ask this app whether it is ready."""
        health = self.health
        asked: dict[str, Any] = {"path": health.path or DEFAULT_HEALTH_PATH}
        if health.preset:
            # Only here, so that commands that probe nothing start fast.
            from orchestrator.core.presets import resolve

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
        """All that a later run needs, ready for JSON. It holds the environment, passwords and all."""
        return {
            **self.model_dump(mode="json"),
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
            config._environment = TypeAdapter(dict[str, str]).validate_python(data["environment"])
        except ValidationError as error:
            findings = [finding for _, finding in read.explain(error, _keys())]
        except KeyError as error:
            findings = [Finding(str(error.args[0]), "missing")]
        else:
            return config
        raise ConfigError(f"stored settings of {source}", findings)


# --- reading ---------------------------------------------------------------------------------------------


def load(path: Path) -> Config:
    """Reads and checks a file, and what it names on the disk.

    ConfigError carries everything that is wrong with it; UsageError says that it cannot be read at all.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
        base = path.parent.absolute()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", hint="run 'deployctl init' to write one") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder", hint=f"name the file: --file {path / 'deploy.toml'}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read", why=getattr(error, "strerror", "") or str(error)) from None
    if len(data) > _LARGEST_FILE:
        raise UsageError(f"{path} is larger than 1 MiB", hint="this is no deploy.toml")
    try:
        # Some editors begin a file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path} is not UTF-8 (line {line})", hint="save the file as UTF-8") from None
    return _check(text, str(path), base, on_disk=True)


def parse(text: str, *, file: str, base: Path) -> Config:
    """Checks a text as the content of `file` in the folder `base`, without looking at the disk."""
    return _check(text, file, base.absolute(), on_disk=False)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of deploy.toml, for editors."""
    schema = Config.model_json_schema(schema_generator=_FileSchema)
    described = "deploy.toml of deployctl: what an app is, how it is built, run, probed and routed."
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        "title": "deploy.toml",
        "description": described,
    }


def example() -> str:
    """The annotated example, which is also what `deployctl init` writes."""
    return resources.files("orchestrator").joinpath("deploy.example.toml").read_text(encoding="utf-8")


class _FileSchema(GenerateJsonSchema):
    """TOML has no null: what is optional is left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _keys() -> dict[str, list[str]]:
    """The sections, and the keys that each may hold."""
    sections = (App, Build, Model, Run, Health, Proxy, Rollout, Retention)
    return {section.__name__.lower(): list(section.model_fields) for section in sections}


def _under(base: Path, path: str) -> Path:
    # Not Path.resolve: a symlink is to be followed when it is used, not when the file is read.
    return Path(os.path.normpath(base / path))


def _check(text: str, file: str, base: Path, *, on_disk: bool) -> Config:
    raw = read.read_toml(text, file)
    raw.setdefault("app", {})
    findings: list[Finding] = []
    bad: set[read.Loc] = set()
    context = {"base": str(base)}
    try:
        config = Config.model_validate(raw, context=context)
    except ValidationError as error:
        explained = read.explain(error, _keys())
        findings = [finding for _, finding in explained]
        bad = {loc[:2] for loc, _ in explained}
        # What is left without the bad values is valid, so contradictions in it are reported as well.
        config = Config.model_validate(_without(raw, bad), context=context)
    config._base, config._source = base, file
    if config.run.env_file is None:
        config._environment = dict(config.run.env)
    findings += _contradictions(config, bad)
    if on_disk:
        findings += _missing_on_disk(config, raw, bad)
    if findings:
        raise ConfigError(file, findings)
    if config.app.port is None:
        return config.model_copy(update={"app": config.app.model_copy(update={"port": config.port})})
    return config


def _without(raw: Mapping[str, Any], bad: set[read.Loc]) -> dict[str, Any]:
    kept = {
        name: {key: value for key, value in table.items() if (name, key) not in bad}
        for name, table in raw.items()
        if (name,) not in bad and isinstance(table, dict)
    }
    # Whatever must be there gets a stand-in, which is marked as bad and so never judged.
    kept["app"] = {"name": "x", **kept.get("app", {})}
    if "model" in kept:
        kept["model"] = {"path": ".", **kept["model"]}
    return kept


def _known(bad: set[read.Loc], *paths: str) -> bool:
    """Whether the values at `paths` are what the file says, and not stand-ins for what was bad."""
    pairs = [tuple(path.split(".")) for path in paths]
    return not any(pair in bad or pair[:1] in bad for pair in pairs)


def _contradictions(config: Config, bad: set[read.Loc]) -> Iterator[Finding]:
    """What is valid value by value, and wrong together. Values that are bad by themselves are not judged."""

    def known(*paths: str) -> bool:
        return _known(bad, *paths)

    health, run = config.health, config.run
    if known("health.path", "health.preset") and health.path and health.preset:
        yield Finding("health.preset", "contradicts health.path", f"keep one; '{health.preset}' knows its path")
    elif known("health.preset", "health.model") and health.model and health.preset not in MODEL_PRESETS:
        yield Finding("health.model", "has no effect", f"only {', '.join(MODEL_PRESETS)} ask about one model")
    if known("app.port", "health.preset") and config.app.port is None and not health.preset:
        yield Finding("app.port", "missing", "write port = 8080 under [app], or choose a health.preset")
    for key in ("timeout", "interval"):
        seconds = getattr(health, key)
        if known(f"health.{key}", "health.deadline") and seconds > health.deadline:
            yield Finding(f"health.{key}", f"{seconds:g}s is longer than health.deadline ({health.deadline:g}s)")
    needed = (health.successes - 1) * health.interval
    judged = known("health.successes", "health.interval", "health.deadline")
    if judged and health.interval <= health.deadline < needed:
        message = f"{health.successes} answers take {needed:g}s, longer than health.deadline"
        yield Finding("health.successes", f"{message} ({health.deadline:g}s)")
    targets: dict[str, str] = {}
    if config.model and known("model.mount"):
        targets[config.model.mount] = "model.mount"
    for index, volume in enumerate(run.volumes if known("run.volumes") else ()):
        target, where = volume.split(":")[1], f"run.volumes[{index}]"
        if target in targets:
            yield Finding(where, f"{target} is taken by {targets[target]}", "mount it somewhere else")
        targets[target] = where


def _missing_on_disk(config: Config, raw: Mapping[str, Any], bad: set[read.Loc]) -> Iterator[Finding]:
    """Files and folders that are named and not there; reads the environment on the way."""
    if _known(bad, "build.context") and not _exists(config.context_dir, folder=True):
        yield Finding("build.context", f"there is no folder {config.context_dir}")
    if config.model_dir and _known(bad, "model.path") and not _exists(config.model_dir, folder=True):
        yield Finding("model.path", f"there is no folder {config.model_dir}")
    if config.run.env_file:
        values, findings = _read_env_file(_under(config.base, config.run.env_file))
        config._environment = {**values, **config.run.env}
        yield from findings
    if _known(bad, "run.volumes"):
        written = raw.get("run", {}).get("volumes", [])
        for index, (volume, text) in enumerate(zip(config.run.volumes, written, strict=True)):
            source = Path(volume.split(":")[0])
            # Docker would create an empty folder that belongs to root; an absolute path may mean that.
            if text.startswith(".") and not _exists(source):
                yield Finding(f"run.volumes[{index}]", f"there is no {source}", "create it first")


def _exists(path: Path, *, folder: bool = False) -> bool:
    try:
        return path.is_dir() if folder else path.exists()
    except (OSError, ValueError):
        return False


def _read_env_file(path: Path) -> tuple[dict[str, str], list[Finding]]:
    """KEY=VALUE lines; the findings never quote a line, because it may hold a password."""
    where = "run.env_file"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, [Finding(where, f"there is no file {path}")]
    except UnicodeDecodeError:
        return {}, [Finding(where, f"{path} is not UTF-8")]
    except (OSError, ValueError) as error:
        return {}, [Finding(where, f"{path} cannot be read: {getattr(error, 'strerror', '') or error}")]
    values: dict[str, str] = {}
    findings: list[Finding] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = re.sub(r"^export\s+", "", line).partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not re.fullmatch(read.VARIABLE, key) or "\0" in value:
            findings.append(Finding(where, f"line {number}: expected KEY=VALUE"))
            continue
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[key] = value
    return values, findings
