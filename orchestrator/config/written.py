"""Values of settings as deploy.toml has them: durations and sizes with their units."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

from orchestrator.config.config import Config
from orchestrator.config.types import DURATION_SCHEMA, SIZE_SCHEMA
from orchestrator.domain import durations

_SIZES = "bkmgt"


def written(key: str, value: Any) -> Any:
    """The value of the setting `section.key`, in seconds or bytes if it has a unit, as it is written in the file."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    kind = _kinds().get(key)
    if kind == "duration":
        return durations.written(value)
    return _size(int(value)) if kind == "size" else value


def _size(count: int) -> str:
    power = 0
    while count and count % 1024 == 0 and power < len(_SIZES) - 1:
        count, power = count // 1024, power + 1
    return f"{count}{_SIZES[power]}"


@cache
def _kinds() -> dict[str, Literal["duration", "size"]]:
    """The settings with a unit, as `section.key`."""
    kinds: dict[str, Literal["duration", "size"]] = {}
    for section, field in Config.model_fields.items():
        # An optional section is a union with None.
        for model in (field.annotation, *get_args(field.annotation)):
            for name, inner in getattr(model, "model_fields", {}).items():
                # So is an optional value, whose marks are then on a part of its type.
                parts = (inner, *get_args(inner.annotation))
                marks = [mark for part in parts for mark in (*getattr(part, "metadata", ()), *_marks(part))]
                if DURATION_SCHEMA in marks:
                    kinds[f"{section}.{name}"] = "duration"
                elif SIZE_SCHEMA in marks:
                    kinds[f"{section}.{name}"] = "size"
    return kinds


def _marks(part: Any) -> tuple[Any, ...]:
    return getattr(part, "__metadata__", ())
