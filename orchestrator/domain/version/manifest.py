"""Manifests: the files of a version with their digests, and the delta between two manifests. Pure.

Invariant: `apply(a, delta(a, b)) == b`, so M_n = M_(n-1) + ΔM_n holds exactly and can be checked.
A manifest's digest is its version's identity. It is computed from a canonical text: one manifest has one text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cached_property
from typing import Any, Literal

from orchestrator.domain.version.build import Layer
from orchestrator.frozen import frozen

CONTEXT, MODEL, LAYERS = "context/", "model/", "image/"
_SCHEMA = 1


@frozen
class File:
    """One file, symbolic link, empty folder of the model, or layer of an image that was not built here.

    `size` is in bytes, `digest` is the SHA-256 of the content (or link target) in hex.

    `path` begins with `context/`, `model/` or `image/`. `mode` is the mode that Git would record, 0644 or 0755, so that
    a fresh checkout gives the same manifest; only files have one. Times and owners are not part of a manifest.
    """

    path: str
    kind: Literal["file", "link", "folder", "layer"]
    mode: str
    size: int
    digest: str
    target: str = ""

    @classmethod
    def link(cls, path: str, target: str) -> File:
        """A symbolic link."""
        data = target.encode()
        return cls(path, "link", "", len(data), hashlib.sha256(data).hexdigest(), target)

    @classmethod
    def folder(cls, path: str) -> File:
        """An empty folder."""
        return cls(path, "folder", "", 0, hashlib.sha256().hexdigest())


@frozen
class Manifest:
    """The files of a version by path, and how its image is built from them.

    `build` contains the Dockerfile's name, the target stage, and the digest of the build arguments. Of an image that
    was not built here it contains the image's id, and the files are its layers.
    """

    files: Mapping[str, File] = field(default_factory=dict)
    build: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[File], build: Mapping[str, str]) -> Manifest:
        return cls({file.path: file for file in sorted(files, key=lambda file: file.path)}, dict(build))

    @cached_property
    def text(self) -> str:
        """The canonical text."""
        files = [
            [file.path, file.kind, file.mode, file.size, file.digest, file.target]
            for file in sorted(self.files.values(), key=lambda file: file.path)
        ]
        body = {"schema": _SCHEMA, "build": dict(self.build), "files": files}
        return json.dumps(body, sort_keys=True, separators=(",", ":")) + "\n"

    @cached_property
    def digest(self) -> str:
        """`sha256:…` of the canonical text: the version's identity."""
        return identity(self.text)

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(file.size for file in self.files.values())

    def below(self, prefix: str) -> dict[str, File]:
        """The files below `context/`, `model/` or `image/`, by their paths relative to it."""
        return {path.removeprefix(prefix): file for path, file in self.files.items() if path.startswith(prefix)}


EMPTY = Manifest()


def of_image(image_id: str, layers: Iterable[Layer], model: Iterable[File]) -> Manifest:
    """The manifest of an image that was not built here, with these model files. Its layers are numbered, lowest first.

    The same image has the same manifest, because its id determines its layers.
    """
    numbered = (
        File(f"{LAYERS}layer-{number:03}", "layer", "", layer.size, layer.digest.removeprefix("sha256:"))
        for number, layer in enumerate(layers, 1)
    )
    return Manifest.of((*numbered, *model), {"image": image_id})


@frozen
class Delta:
    """ΔM: the removed paths, the files that were added or changed, and `build` when it changed."""

    removed: tuple[str, ...] = ()
    changed: tuple[File, ...] = ()
    build: Mapping[str, str] | None = None


def identity(text: str) -> str:
    """The digest of a manifest's text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def read(text: str) -> Manifest:
    """Parses the text of a manifest.

    Raises:
        ValueError: the text is not a manifest, or has another schema.
    """
    try:
        body: dict[str, Any] = json.loads(text)
        if body["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {body['schema']}, expected {_SCHEMA}")
        return Manifest.of((File(*row) for row in body["files"]), body["build"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a manifest: {error!r}") from error


def delta(before: Manifest, after: Manifest) -> Delta:
    """The change that makes `after` of `before`."""
    removed = tuple(sorted(before.files.keys() - after.files.keys()))
    changed = tuple(after.files[path] for path in sorted(after.files) if before.files.get(path) != after.files[path])
    return Delta(removed, changed, None if before.build == after.build else dict(after.build))


def apply(before: Manifest, change: Delta) -> Manifest:
    """The manifest that `change` makes of `before`.

    Raises:
        ValueError: `change` was computed from another manifest.
    """
    removed = set(change.removed)
    if unknown := removed - before.files.keys():
        raise ValueError(f"the change removes {min(unknown)}, which does not exist")
    kept = {path: file for path, file in before.files.items() if path not in removed}
    kept.update((file.path, file) for file in change.changed)
    return Manifest.of(kept.values(), before.build if change.build is None else change.build)


def new_bytes(before: Manifest, after: Manifest) -> int:
    """The size in bytes of the contents of `after` that no file of `before` has; equal contents count once."""
    known = {file.digest for file in before.files.values()}
    return sum({file.digest: file.size for file in after.files.values() if file.digest not in known}.values())
