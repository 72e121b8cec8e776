"""Reads the values of run.secrets, run.secret_env and build.secrets. No message of this module contains a value.

The values of run.secrets and run.secret_env are files in one folder of a container. Those of run.secret_env begin with
a dot, which no name in run.secrets does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.explain import printable
from orchestrator.config.ignoring import ignore_file, ignore_patterns
from orchestrator.domain.version.ignoring import Ignoring
from orchestrator.errors import Finding, SecretUnavailable
from orchestrator.files import SMALL, NotRegular, TooLarge, read_small

if TYPE_CHECKING:
    from orchestrator.config.config import Config

MOUNT = "/run/secrets"
"""The folder of the secrets in a container."""
# In most images /var/run is a link to /run.
_RESERVED = (MOUNT, "/var/run/secrets")
LARGEST = SMALL
"""The largest value of a secret, in bytes."""
LARGEST_VARIABLE = 128 * 1024 - 2 - 128
"""The largest value of an environment variable, in bytes: Linux allows 128 KiB for name and value."""
ENVIRONMENT = ".environment"
"""The file beside the secrets that sets the variables of run.secret_env when a shell reads it."""
_VARIABLE = ".env."


class _Missing(Exception):
    """A value is not available; the message says why."""


def covers(target: str) -> bool:
    """Whether a mount at `target` would hide the secrets."""
    return any(target == folder or target.startswith(f"{folder}/") for folder in _RESERVED)


def sources(config: Config) -> dict[str, str]:
    """Where the value of each file in the folder of the secrets comes from."""
    return {**config.run.secrets, **{f"{_VARIABLE}{name}": source for name, source in config.run.secret_env.items()}}


def key_of(name: str) -> str:
    """The key of deploy.toml that a file in the folder of the secrets belongs to."""
    return f"run.secret_env.{name.removeprefix(_VARIABLE)}" if name.startswith(_VARIABLE) else f"run.secrets.{name}"


def environment_file(values: Mapping[str, bytes]) -> bytes | None:
    """The text of ENVIRONMENT for these files; None when there are no variables among them."""
    lines = [
        b"export %s='%s'\n" % (name.removeprefix(_VARIABLE).encode(), value.replace(b"'", b"'\\''"))
        for name, value in sorted(values.items())
        if name.startswith(_VARIABLE)
    ]
    return b"".join(lines) or None


def read_secrets(config: Config) -> tuple[dict[str, bytes], dict[str, str]]:
    """The values of the files that are available now, as bytes, and for each of the others why it is not."""
    values: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, source in sorted(sources(config).items()):
        try:
            value = _value(config.base, source)
            values[name] = _variable(value, source) if name.startswith(_VARIABLE) else value
        except _Missing as error:
            missing[name] = str(error)
    return values, missing


def build_secrets(config: Config) -> dict[str, bytes]:
    """The values of build.secrets.

    Raises:
        SecretUnavailable: a value is not available.
    """
    values: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, source in sorted(config.build.secrets.items()):
        try:
            values[name] = _value(config.base, source)
        except _Missing as error:
            missing[f"build.secrets.{name}"] = str(error)
    if missing:
        raise unavailable(missing)
    return values


def unavailable(missing: Mapping[str, str]) -> SecretUnavailable:
    """The error for secrets that are not available: why, by their keys in deploy.toml."""
    name = min(missing).split(".", 2)[2]
    return SecretUnavailable(
        f"{len(missing)} secrets are not available" if len(missing) > 1 else f"secret {name} is not available",
        why="; ".join(f"{key}: {why}" for key, why in missing.items()),
        hint="set the variable, or create the file, then try again",
    )


def wrong_secrets(config: Config) -> tuple[list[Finding], list[Finding]]:
    """The problems with the files that have secrets, and the variables that are not set now."""
    # Without a Dockerfile nothing is built from the folder: its images come from elsewhere.
    wrong = exposed_secrets(config, built=_exists(config.dockerfile_path))
    unset: list[Finding] = []
    for key, source in _everywhere(config):
        try:
            _value(config.base, source)
        except _Missing as error:
            (wrong if source.startswith("file:") else unset).append(Finding(key, str(error)))
    return wrong, unset


def exposed_secrets(config: Config, *, existing: bool = False, built: bool = True) -> list[Finding]:
    """The files with passwords that would become part of the version: of its image, its manifest, or its model files.

    With `existing`, only those that exist now: a checkout contains only what its commit contains. Without `built`, only
    those in the model folder.
    """
    return [
        Finding(key, *problem)
        for key, path in _files(config)
        # Without a file for notifications a version can be released, so the file need not be there.
        if (problem := _exposed(config, path, built=built))
        and (not (existing or key == "notify.urls_file") or _exists(path))
    ]


def _files(config: Config) -> Iterator[tuple[str, Path]]:
    """The files that have passwords or may have some, with the keys that name them."""
    for key, source in _everywhere(config):
        if source.startswith("file:"):
            yield key, _path(config.base, source.partition(":")[2])
    for key, text in (("run.env_file", config.run.env_file), ("notify.urls_file", config.notify.urls_file)):
        if text is not None:
            yield key, _path(config.base, text)


def _everywhere(config: Config) -> list[tuple[str, str]]:
    """All secrets: their keys and their sources."""
    run = [(key_of(name), source) for name, source in sorted(sources(config).items(), key=lambda item: key_of(item[0]))]
    return [*run, *((f"build.secrets.{name}", source) for name, source in sorted(config.build.secrets.items()))]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False  # not a possible path


def _value(base: Path, source: str) -> bytes:
    kind, _, rest = source.partition(":")
    if kind == "env":
        shown = f"the variable {rest}"
        value = os.environb.get(os.fsencode(rest))
        if value is None:
            raise _Missing(f"{shown} is not set")
    else:
        path = _path(base, rest)
        shown = printable(path)
        value = _read(path, shown)
    # A file that is being written is empty at first, and so is a variable that a CI system does not have.
    if not value:
        raise _Missing(f"{shown} is empty")
    if len(value) > LARGEST:
        raise _Missing(f"{shown} is larger than 1 MiB")
    return value


def _variable(value: bytes, source: str) -> bytes:
    """The value of a variable: without the line end at the end of a file, which `$(cat FILE)` removes as well."""
    if source.startswith("file:"):
        value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value:
        raise _Missing("its value is empty")
    if b"\0" in value:
        raise _Missing("its value contains a NUL character, which no environment variable can")
    if len(value) > LARGEST_VARIABLE:
        raise _Missing("its value is too large for an environment variable: use run.secrets, which gives files")
    return value


def _read(path: Path, shown: str) -> bytes:
    try:
        return read_small(path)
    except FileNotFoundError:
        raise _Missing(f"there is no file {shown}") from None
    except IsADirectoryError:
        raise _Missing(f"{shown} is a folder") from None
    except (NotRegular, TooLarge) as error:
        raise _Missing(f"{shown} is {error.strerror}") from None
    except OSError as error:
        raise _Missing(f"{shown} cannot be read: {error.strerror}") from None


def _path(base: Path, text: str) -> Path:
    return Path(os.path.normpath(base / text))


def _exposed(config: Config, path: Path, *, built: bool) -> tuple[str, str] | None:
    try:
        real, context = path.resolve(), config.context_dir.resolve()
        model = config.model_dir.resolve() if config.model_dir else None
        named = path.parent.resolve() / path.name
    except (OSError, RuntimeError, ValueError):
        return None
    # In the model folder, a link that leads out of it is followed; in the context, a link is sent as a link.
    if model is not None and (real.is_relative_to(model) or named.is_relative_to(model)):
        return f"{printable(path)} is in the model folder, which every version copies", "keep it somewhere else"
    if built and real.is_relative_to(context) and not _ignored(config, real.relative_to(context)):
        shown, file = printable(real.relative_to(context)), ignore_file(config).relative_to(config.context_dir)
        return (
            f"{printable(path)} is in the build context, and would become part of the image",
            f"add {shown} to {printable(file)}, or keep it somewhere else",
        )
    return None


def _ignored(config: Config, name: Path) -> bool:
    # The Dockerfile is sent even when it is ignored.
    return name.as_posix() != config.build.dockerfile and Ignoring(ignore_patterns(config)).ignores(name.as_posix())
