"""Reads the values of run.secrets. No message of this module contains a value."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.explain import printable
from orchestrator.config.ignoring import ignore_file, ignore_patterns
from orchestrator.domain.version.ignoring import Ignoring
from orchestrator.errors import Finding
from orchestrator.files import SMALL, NotRegular, TooLarge, read_small

if TYPE_CHECKING:
    from orchestrator.config.config import Config

MOUNT = "/run/secrets"
"""The folder of the secrets in a container."""
# In most images /var/run is a link to /run.
_RESERVED = (MOUNT, "/var/run/secrets")
LARGEST = SMALL
"""The largest value of a secret, in bytes."""


class _Missing(Exception):
    """A value is not available; the message says why."""


def covers(target: str) -> bool:
    """Whether a mount at `target` would hide the secrets."""
    return any(target == folder or target.startswith(f"{folder}/") for folder in _RESERVED)


def read_secrets(config: Config) -> tuple[dict[str, bytes], dict[str, str]]:
    """The values that are available now, as bytes, and for each of the others why it is not."""
    values: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, source in sorted(config.run.secrets.items()):
        try:
            values[name] = _value(config.base, source)
        except _Missing as error:
            missing[name] = str(error)
    return values, missing


def wrong_secrets(config: Config) -> tuple[list[Finding], list[Finding]]:
    """The problems with the files that have secrets, and the variables that are not set now."""
    wrong = exposed_secrets(config)
    unset: list[Finding] = []
    for name, why in read_secrets(config)[1].items():
        is_file = config.run.secrets[name].startswith("file:")
        (wrong if is_file else unset).append(Finding(f"run.secrets.{name}", why))
    return wrong, unset


def exposed_secrets(config: Config, *, existing: bool = False) -> list[Finding]:
    """The files with passwords that would become part of the version: of its image, its manifest, or its model files.

    With `existing`, only those that exist now: a checkout contains only what its commit contains.
    """
    return [
        Finding(key, *problem)
        for key, path in _files(config)
        if (problem := _exposed(config, path)) and (not existing or _exists(path))
    ]


def _files(config: Config) -> Iterator[tuple[str, Path]]:
    """The files that have passwords or may have some, with the keys that name them."""
    for name, source in sorted(config.run.secrets.items()):
        if source.startswith("file:"):
            yield f"run.secrets.{name}", _path(config.base, source.partition(":")[2])
    for key, text in (("run.env_file", config.run.env_file), ("notify.urls_file", config.notify.urls_file)):
        if text is not None:
            yield key, _path(config.base, text)


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


def _exposed(config: Config, path: Path) -> tuple[str, str] | None:
    try:
        real, context = path.resolve(), config.context_dir.resolve()
        model = config.model_dir.resolve() if config.model_dir else None
        named = path.parent.resolve() / path.name
    except (OSError, RuntimeError, ValueError):
        return None
    # In the model folder, a link that leads out of it is followed; in the context, a link is sent as a link.
    if model is not None and (real.is_relative_to(model) or named.is_relative_to(model)):
        return f"{printable(path)} is in the model folder, which every version copies", "keep it somewhere else"
    if real.is_relative_to(context) and not _ignored(config, real.relative_to(context)):
        shown, file = printable(real.relative_to(context)), ignore_file(config).relative_to(config.context_dir)
        return (
            f"{printable(path)} is in the build context, and would become part of the image",
            f"add {shown} to {printable(file)}, or keep it somewhere else",
        )
    return None


def _ignored(config: Config, name: Path) -> bool:
    # The Dockerfile is sent even when it is ignored.
    return name.as_posix() != config.build.dockerfile and Ignoring(ignore_patterns(config)).ignores(name.as_posix())
