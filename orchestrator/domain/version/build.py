"""Images: what one is built from, and what the engine reports about one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal

from orchestrator.frozen import frozen

LeftoverKind = Literal["image", "cache", "volume"]


@frozen
class BuildSpec:
    """An image to build. `dockerfile` is relative to `context`; `ignore` are the patterns of what no builder gets.

    `withheld` are the paths among that which the user did not ignore, and what each is.
    `secrets` can be mounted by an instruction; they are not in the image, and no message contains them.
    """

    tag: str
    context: Path
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    network: Literal["default", "none", "host"] = "default"
    ignore: tuple[str, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    builder: Literal["auto", "classic", "buildkit"] = "auto"

    @property
    def dockerfile_path(self) -> Path:
        return self.context / self.dockerfile


@frozen
class Image:
    """An image on the engine. Its Dockerfile names TCP `ports` (EXPOSE) and a `user` (USER).

    `volumes` (VOLUME) are the folders of which each of its containers gets an own, empty one. `digests` are its names
    in registries with their digests, `host/path@sha256:…`; `platform` is what it runs on, such as `linux/amd64`.
    """

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    user: str = ""
    volumes: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    platform: str = ""


@frozen
class RemoteImage:
    """An image in a registry: its name with the digest, and the platforms that it exists for, where that is known."""

    pinned: str
    platforms: tuple[str, ...] = ()


@frozen
class EngineUsage:
    """What takes space on the engine, in bytes. `folder` is where the engine keeps its data, on its host.

    `dangling` counts dangling images, such as stages of builds, and `cache_bytes` is the cache of BuildKit. Both
    belong to all programs that build on the engine.
    """

    folder: str
    dangling: int
    dangling_bytes: int
    cache_bytes: int


@frozen
class Leftover:
    """Something on the engine that builds or removed containers have left, and nothing needs.

    `id` is the id of a dangling `image`, the name of the builder whose `cache` it is (empty: the engine itself),
    or the name of an anonymous `volume` of a removed container. `size` in bytes; for an image without the layers that
    it shares with others, for a cache what can be removed now.
    """

    kind: LeftoverKind
    id: str
    size: int

    @property
    def words(self) -> str:
        """What it is."""
        return leftover_words(self.kind, self.id)


def leftover_words(kind: LeftoverKind, id: str) -> str:
    """What a leftover is, for people."""
    if kind == "image":
        return f"image {id.removeprefix('sha256:')[:12]}"
    if kind == "volume":
        return f"volume {id[:12]}"
    return f"build cache of the builder {id}" if id else "build cache"


@frozen
class Layer:
    """A layer of an image: its digest and its size in bytes."""

    digest: str
    size: int
