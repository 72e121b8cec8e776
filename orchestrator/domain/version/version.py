"""A version and what is known of its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Version:
    """One immutable build of an app. Times are UTC in ISO 8601.

    `manifest` is the digest of its manifest: its identity. `settings` is the stored configuration it ran with last.
    `pushed` names its image in a registry by digest, if one has it.
    `bad_at` is set on a version that went bad while it was live and was rolled back by itself.
    """

    app: str
    name: str
    image: str
    image_id: str
    manifest: str
    parent: str | None
    author: str
    created_at: str
    git_commit: str | None = None
    git_dirty: bool | None = None
    live_at: str | None = None
    stable_at: str | None = None
    pruned_at: str | None = None
    bad_at: str | None = None
    bad_why: str = ""
    pushed: str | None = None
    settings: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class FileChange:
    """What a version has done to one file of its parent's manifest. All but the path is None when it is gone."""

    version: str
    path: str
    kind: str | None
    mode: str | None
    size: int | None
    digest: str | None
    target: str | None = None


@dataclass(frozen=True)
class Commit:
    """One commit, as a person looks at it."""

    commit: str
    author: str
    at: str
    subject: str


@dataclass(frozen=True)
class GitState:
    """What Git says of the app's files: the commit, whether they differ from it and which, and the user's name.

    Without a commit `missing` says why, and `refused` that there is one which Git will not show.
    """

    commit: str | None = None
    dirty: bool | None = None
    user: str | None = None
    changed: tuple[str, ...] = ()
    missing: str = ""
    hint: str = ""
    refused: bool = False
