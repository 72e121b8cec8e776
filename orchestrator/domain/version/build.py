"""What an image is built from, and what is known of an image. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class BuildSpec:
    """One image to build. `dockerfile` is relative to `context`; `ignore` are the lines of its ignore file."""

    tag: str
    context: Path
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict, repr=False)
    ignore: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    builder: Literal["auto", "classic", "buildkit"] = "auto"

    @property
    def dockerfile_path(self) -> Path:
        return self.context / self.dockerfile


@dataclass(frozen=True)
class Image:
    """An image that the engine has."""

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """A layer of an image: its digest and its size in bytes."""

    digest: str
    size: int
