"""The values of run.secrets, read from where deploy.toml says. No message of this module contains a value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.config.explain import printable
from orchestrator.config.ignoring import ignore_file, ignore_patterns
from orchestrator.errors import Finding
from orchestrator.files import SMALL, NotRegular, TooLarge, read_small

if TYPE_CHECKING:
    from orchestrator.config.sections import Config

MOUNT = "/run/secrets"
"""The folder in which containers find the files."""
# In most images the second is a link to the first.
_TAKEN = (MOUNT, "/var/run/secrets")
LARGEST = SMALL
"""The largest value of a secret, in bytes."""


class _Missing(Exception):
    """Why a value is not available."""


def covers(target: str) -> bool:
    """Whether a mount at `target` would hide the secrets."""
    return any(target == taken or target.startswith(f"{taken}/") for taken in _TAKEN)


def read_secrets(config: Config) -> tuple[dict[str, bytes], dict[str, str]]:
    """The values that are available now, byte for byte, and why the others are not."""
    values: dict[str, bytes] = {}
    lacking: dict[str, str] = {}
    for name, source in sorted(config.run.secrets.items()):
        try:
            values[name] = _value(config.base, source)
        except _Missing as error:
            lacking[name] = str(error)
    return values, lacking


def wrong_secrets(config: Config) -> tuple[list[Finding], list[Finding]]:
    """What is wrong with the files that run.secrets names, and which variables are not set now."""
    wrong = exposed_secrets(config)
    unset: list[Finding] = []
    for name, why in read_secrets(config)[1].items():
        is_file = config.run.secrets[name].startswith("file:")
        (wrong if is_file else unset).append(Finding(f"run.secrets.{name}", why))
    return wrong, unset


def exposed_secrets(config: Config, *, there: bool = False) -> list[Finding]:
    """The secret files that would become part of the version: of its image, its manifest, or its model files.

    With `there`, only those that exist now: a checkout has what its commit has.
    """
    return [
        Finding(f"run.secrets.{name}", *found)
        for name, source in sorted(config.run.secrets.items())
        if source.startswith("file:")
        and (found := _exposed(config, path := _path(config.base, source)))
        and (not there or _is_there(path))
    ]


def _is_there(path: Path) -> bool:
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
        path = _path(base, source)
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


def _path(base: Path, source: str) -> Path:
    return Path(os.path.normpath(base / source.partition(":")[2]))


def _exposed(config: Config, path: Path) -> tuple[str, str] | None:
    try:
        real, context = path.resolve(), config.context_dir.resolve()
        model = config.model_dir.resolve() if config.model_dir else None
        named = path.parent.resolve() / path.name
    except (OSError, RuntimeError, ValueError):
        return None
    # A link in the model folder is followed when it leads out of it; one in the context is sent as a link.
    if model is not None and (real.is_relative_to(model) or named.is_relative_to(model)):
        return f"{printable(path)} is in the model folder, which every version copies", "keep it somewhere else"
    if real.is_relative_to(context) and not _ignored(config, real.relative_to(context)):
        shown, file = printable(real.relative_to(context)), ignore_file(config).relative_to(config.context_dir)
        return (
            f"{printable(path)} is in the build context, and would get into the image",
            f"add {shown} to {printable(file)}, or keep it somewhere else",
        )
    return None


def _ignored(config: Config, name: Path) -> bool:
    # Imported here, so that commands that release nothing start fast.
    from docker.utils.build import PatternMatcher

    try:
        patterns = ignore_patterns(config)
    except OSError:
        return False
    matcher = PatternMatcher([*patterns, f"!{config.build.dockerfile}"])
    return bool(matcher.matches(str(name)))  # type: ignore[arg-type]
