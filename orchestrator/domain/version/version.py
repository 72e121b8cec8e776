"""Versions and their sources."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from orchestrator.frozen import frozen


@frozen
class Version:
    """One immutable build of an app. Times are UTC in ISO 8601.

    `manifest` is the digest of its manifest: its identity. `settings` is the configuration that it ran with last.
    `pushed` is the name of its image in a registry, with the digest; None when it is in none. `from_image` is the image
    that it was made from, with the digest if a registry has it; None when its image was built here.
    `bad_at` is when it was marked bad: it was rolled back or aborted automatically; None when it was not.
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
    from_image: str | None = None
    settings: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@frozen
class FileChange:
    """A file that differs between a version's manifest and its parent's. Without a kind, it was removed."""

    version: str
    path: str
    kind: str | None
    mode: str | None
    size: int | None
    digest: str | None
    target: str | None = None


@frozen
class Commit:
    """One Git commit. `at` is its time in ISO 8601."""

    commit: str
    author: str
    at: str
    subject: str


@frozen
class GitState:
    """The state of an app's files in Git: the commit, whether files differ from it (`changed`), and the user's name.

    Without a commit, `missing` says why and `hint` what to do; `refused`: Git refuses to read the commit.
    """

    commit: str | None = None
    dirty: bool | None = None
    user: str | None = None
    changed: tuple[str, ...] = ()
    missing: str = ""
    hint: str = ""
    refused: bool = False
