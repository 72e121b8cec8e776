"""Manifests: what a version is made of, file by file, and the delta between two of them. Pure.

Invariant: `apply(a, delta(a, b)) == b`, so M_n = M_(n-1) + ΔM_n holds exactly and can be checked.
A manifest's digest is its version's identity. The text that it is made of is canonical: one manifest, one text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

CONTEXT, MODEL = "context/", "model/"
_SCHEMA = 1


@dataclass(frozen=True)
class File:
    """One file or symbolic link. `size` in bytes, `digest` the SHA-256 of the content (of a link's target) in hex.

    `path` begins with `context/` or `model/`. `mode` is what Git would record of it, 0644 or 0755, so that a fresh
    checkout is the same; a link has none. Times and owners do not count.
    """

    path: str
    kind: Literal["file", "link"]
    mode: str
    size: int
    digest: str
    target: str = ""

    @classmethod
    def link(cls, path: str, target: str) -> File:
        """A symbolic link."""
        data = target.encode()
        return cls(path, "link", "", len(data), hashlib.sha256(data).hexdigest(), target)


@dataclass(frozen=True)
class Manifest:
    """The files of a version by path, and with what its image is built from them.

    `build` holds the Dockerfile's name, the stage, and the digest of the build arguments.
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
        """`sha256:…` over the canonical text: the version's identity."""
        return identity(self.text)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    def below(self, prefix: str) -> dict[str, File]:
        """The files of the context or of the model, by their path in there."""
        return {path.removeprefix(prefix): file for path, file in self.files.items() if path.startswith(prefix)}


EMPTY = Manifest()


@dataclass(frozen=True)
class Delta:
    """ΔM: the paths that are gone, the files that are new or changed, and the build's facts when they changed."""

    gone: tuple[str, ...] = ()
    put: tuple[File, ...] = ()
    build: Mapping[str, str] | None = None


def identity(text: str) -> str:
    """The digest of a manifest's text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def read(text: str) -> Manifest:
    """The manifest that has this text.

    Raises:
        ValueError: it is the text of none.
    """
    try:
        body: dict[str, Any] = json.loads(text)
        if body["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {body['schema']}, this program knows {_SCHEMA}")
        found = Manifest.of((File(*row) for row in body["files"]), body["build"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no manifest: {error!r}") from error
    return found


def delta(before: Manifest, after: Manifest) -> Delta:
    """What has to be done to `before` to get `after`."""
    gone = tuple(sorted(before.files.keys() - after.files.keys()))
    put = tuple(after.files[path] for path in sorted(after.files) if before.files.get(path) != after.files[path])
    return Delta(gone, put, None if before.build == after.build else dict(after.build))


def apply(before: Manifest, change: Delta) -> Manifest:
    """`before` with the change.

    Raises:
        ValueError: the change was made of another manifest.
    """
    if strange := set(change.gone) - before.files.keys():
        raise ValueError(f"{min(strange)} is to go, and is not there")
    kept = {path: file for path, file in before.files.items() if path not in set(change.gone)}
    kept.update((file.path, file) for file in change.put)
    return Manifest.of(kept.values(), before.build if change.build is None else change.build)


def new_bytes(before: Manifest, after: Manifest) -> int:
    """How many bytes of `after` are in no file of `before`: what it really adds, each content counted once."""
    known = {file.digest for file in before.files.values()}
    return sum({file.digest: file.size for file in after.files.values() if file.digest not in known}.values())
