"""Reads deploy.toml, and reports all of its problems at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.config.config import Config, keys, under
from orchestrator.config.env_file import read_env_file
from orchestrator.config.explain import Loc, explain, printable
from orchestrator.config.run_conflicts import run_conflicts
from orchestrator.config.traffic_conflicts import traffic_conflicts
from orchestrator.config.types import MODEL_PRESETS, Duration
from orchestrator.errors import ConfigError, Finding, UsageError
from orchestrator.files import TooLarge, read_small
from orchestrator.text import counted


def load(path: Path) -> Config:
    """Reads and checks a file, and the files and folders that it names.

    Raises:
        ConfigError: the file has problems; it lists all of them.
        UsageError: the file cannot be read.
    """
    text = _text(path)
    return _check(text, str(path), path.parent.absolute(), on_disk=True)


def load_elsewhere(path: Path, base: Path, source: str) -> Config:
    """Reads and checks a file of a checkout, as if it were the file `source` in the folder `base`.

    Does not check that the build context and the model folder exist: the checkout may contain them.

    Raises:
        ConfigError: the file has problems; it lists all of them.
        UsageError: the file cannot be read.
    """
    return _check(_text(path), source, base, on_disk=True, built_here=False)


def _text(path: Path) -> str:
    try:
        data = read_small(path)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", hint="run 'deployctl init' to write one") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder", hint=f"name the file: --file {path / 'deploy.toml'}") from None
    except TooLarge:
        raise UsageError(f"{path} is larger than 1 MiB", hint="this is not a deploy.toml") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=str(error.strerror)) from None
    try:
        # Some editors begin a file with a byte order mark.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path} is not UTF-8 (line {line})", hint="save the file as UTF-8") from None


def parse(text: str, *, file: str, base: Path) -> Config:
    """Checks a text as the content of `file` in the folder `base`, without reading any file.

    Raises:
        ConfigError: the text has problems; it lists all of them.
    """
    return _check(text, file, base.absolute(), on_disk=False)


def seconds(text: str, name: str) -> float:
    """A duration from the command line, in seconds; `name` is the option, for the error.

    Raises:
        UsageError: the text is not a duration.
    """
    try:
        duration: float = TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        ((_, finding),) = explain(error, {})
        raise UsageError(f"{name}: {finding.message}", hint=finding.hint) from None
    return duration


def _read_toml(text: str, file: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ConfigError: it is not valid TOML; with line and column.
    """
    hints = {
        "Invalid value": 'text needs quotes: name = "mymodel"',
        "Cannot overwrite": "the same key is written twice",
        "twice": "the same section is written twice",
        "after a key": 'write key = "value"',
    }
    try:
        text.encode()
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words = re.sub(r" \(at .*\)$", "", str(error).partition("\n")[0])
        spot = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        lines = text.split("\n")
        line, column = spot.groups() if spot else (str(len(lines)), str(len(lines[-1]) + 1))
        hint = next((hint for part, hint in hints.items() if part in words), "")
        finding = Finding(f"line {line}, column {column}", f"not valid TOML: {words[:1].lower()}{words[1:]}", hint)
    except UnicodeEncodeError:
        finding = Finding(file, "not valid Unicode", "save the file as UTF-8")
    except RecursionError:
        finding = Finding(file, "not valid TOML: nested too deeply")
    except ValueError:
        finding = Finding(file, "not valid TOML: a number has too many digits")
    raise ConfigError(file, [finding])


def _check(text: str, file: str, base: Path, *, on_disk: bool, built_here: bool = True) -> Config:
    raw = _read_toml(text, file)
    raw.setdefault("app", {})
    findings: list[Finding] = []
    bad: set[Loc] = set()
    context = {"base": str(base)}
    try:
        config = Config.model_validate(raw, context=context)
    except ValidationError as error:
        explained = explain(error, keys())
        findings = [finding for _, finding in explained]
        bad = {loc[:2] for loc, _ in explained}
        # Without the bad values the rest is valid: contradictions in it are reported as well.
        config = Config.model_validate(_without(raw, bad), context=context)
    config._base, config._source = base, file
    if config.run.env_file is None:
        config._environment = dict(config.run.env)
    findings += _contradictions(config, bad)
    if on_disk:
        findings += _missing_on_disk(config, raw, bad if built_here else {*bad, ("build",), ("model",)})
    if findings:
        raise ConfigError(file, findings)
    if config.app.port is None:
        return config.model_copy(update={"app": config.app.model_copy(update={"port": config.port})})
    return config


def _without(raw: Mapping[str, Any], bad: set[Loc]) -> dict[str, Any]:
    kept = {
        name: {key: value for key, value in table.items() if (name, key) not in bad}
        for name, table in raw.items()
        if (name,) not in bad and isinstance(table, dict)
    }
    # Required keys get a placeholder. They are in `bad`, so placeholders are never checked.
    kept["app"] = {"name": "x", **kept.get("app", {})}
    if "model" in kept:
        kept["model"] = {"path": ".", **kept["model"]}
    return kept


def _known(bad: set[Loc], *paths: str) -> bool:
    """Whether the values at `paths` are what the file says, and not placeholders for bad values."""
    pairs = [tuple(path.split(".")) for path in paths]
    return not any(pair in bad or pair[:1] in bad for pair in pairs)


def _contradictions(config: Config, bad: set[Loc]) -> Iterator[Finding]:
    """Values that are valid alone and conflict with each other. Bad values are not checked."""

    def known(*paths: str) -> bool:
        return _known(bad, *paths)

    health = config.health
    if known("health.path", "health.preset") and health.path and health.preset:
        yield Finding("health.preset", "conflicts with health.path", f"remove one: '{health.preset}' has its own path")
    elif known("health.preset", "health.model") and health.model and health.preset not in MODEL_PRESETS:
        yield Finding("health.model", "has no effect", f"only {', '.join(MODEL_PRESETS)} can probe one model")
    if known("app.port", "health.preset") and config.app.port is None and not health.preset:
        yield Finding("app.port", "missing", "write port = 8080 under [app], or choose a health.preset")
    for key in ("timeout", "interval"):
        seconds = getattr(health, key)
        if known(f"health.{key}", "health.deadline") and seconds > health.deadline:
            yield Finding(f"health.{key}", f"{seconds:g}s is longer than health.deadline ({health.deadline:g}s)")
    needed = (health.successes - 1) * health.interval
    judged = known("health.successes", "health.interval", "health.deadline")
    if judged and health.interval <= health.deadline < needed:
        message = f"{counted(health.successes, 'probe')} take {needed:g} s, longer than health.deadline"
        yield Finding("health.successes", f"{message} ({health.deadline:g}s)")
    yield from traffic_conflicts(config, known)
    watch = config.watchdog
    if known("watchdog.failures", "watchdog.probes") and watch.failures > watch.probes:
        yield Finding("watchdog.failures", f"must be at most watchdog.probes ({watch.probes}), got {watch.failures}")
    yield from run_conflicts(config, known)


def _missing_on_disk(config: Config, raw: Mapping[str, Any], bad: set[Loc]) -> Iterator[Finding]:
    """Files and folders that deploy.toml names and that do not exist. Also reads run.env_file."""
    if _known(bad, "build.context") and not _exists(config.context_dir, folder=True):
        yield Finding("build.context", f"there is no folder {printable(config.context_dir)}")
    if config.model_dir and _known(bad, "model.path") and not _exists(config.model_dir, folder=True):
        yield Finding("model.path", f"there is no folder {printable(config.model_dir)}")
    if config.run.env_file:
        values, findings = read_env_file(under(config.base, config.run.env_file))
        config._environment = {**values, **config.run.env}
        yield from findings
        for name in sorted(values.keys() & config.run.secret_env.keys() if _known(bad, "run.secret_env") else ()):
            yield Finding(f"run.secret_env.{name}", "is also in run.env_file, which docker inspect shows", "remove one")
    if config.notify.urls_file and _known(bad, "notify.urls_file"):
        file = under(config.base, config.notify.urls_file)
        if not _exists(file):
            yield Finding("notify.urls_file", f"there is no file {printable(file)}")
    if _known(bad, "run.volumes"):
        written = raw.get("run", {}).get("volumes", [])
        for index, (volume, text) in enumerate(zip(config.run.volumes, written, strict=True)):
            source = Path(volume.split(":")[0])
            # Docker would create an empty folder that belongs to root, which may be wanted for an absolute path.
            if text.startswith(".") and not _exists(source):
                yield Finding(f"run.volumes[{index}]", f"there is no {printable(source)}", "create it first")
    for index, device in enumerate(config.run.devices if _known(bad, "run.devices") else ()):
        if not _exists(source := Path(device.split(":")[0])):
            yield Finding(f"run.devices[{index}]", f"there is no {printable(source)} on this machine")


def _exists(path: Path, *, folder: bool = False) -> bool:
    try:
        return path.is_dir() if folder else path.exists()
    except (OSError, ValueError):
        return False
