"""The things deployctl speaks of, as plain data. Nothing here does anything to the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.core.health import ProbeSpec

Slot = Literal["blue", "green"]
Kind = Literal["release", "rollback", "auto-rollback"]
Outcome = Literal["succeeded", "failed", "undone"]
SLOTS: tuple[Slot, Slot] = ("blue", "green")


def other(slot: Slot) -> Slot:
    """The slot that is not `slot`."""
    return "green" if slot == "blue" else "blue"


@dataclass(frozen=True)
class Version:
    """One immutable build of an app. Times are UTC in ISO 8601; `context` is its identity: its manifest's digest.

    `pushed` names its image in a registry by digest, if one has it.
    `bad_at` is set on a version that went bad while it was live and was rolled back by itself.
    """

    app: str
    name: str
    image: str
    image_id: str
    context: str
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
    snapshot: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


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
class Container:
    """One container of ours, as the engine reports it now.

    `restarts` counts those by the engine, since somebody started it; `started_at` is in seconds since the epoch.
    """

    id: str
    name: str
    app: str
    version: str
    slot: Slot
    deployment: int
    index: int
    image_id: str
    state: str
    exit_code: int = 0
    restarts: int = 0
    restart_policy: str = "no"
    address: str = ""
    started_at: float = field(default=0.0, compare=False)

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True)
class Route:
    """How the proxy tells an app's requests from other apps' requests, and its time limits in seconds.

    `metrics` is where the proxy tells Prometheus how it is; empty: nowhere.
    """

    listen: str
    hosts: tuple[str, ...] = ()
    path_prefix: str = ""
    strip_prefix: bool = True
    timeout: float = 3600.0
    metrics: str = ""

    def claims(self) -> set[tuple[str, str, str]]:
        """Every (listen, host, prefix) that this route answers; an empty host means any."""
        return {(self.listen, host, self.path_prefix) for host in (self.hosts or ("",))}


@dataclass(frozen=True)
class Backend:
    """What the proxy knows of one slot: where its servers are and how to probe them."""

    version: str
    addresses: tuple[str, ...]
    probe: ProbeSpec
    active: bool = False


@dataclass(frozen=True)
class ProxyApp:
    """One app as the proxy sees it: its route and both slots.

    `spare` is the warm slot that the proxy turns to by itself when it finds no server of the live one up.
    """

    name: str
    route: Route
    slots: Mapping[Slot, Backend] = field(hash=False)
    spare: Slot | None = None


@dataclass(frozen=True)
class SlotState:
    """What the ledger says of a slot: the version in it and whether it is `live`, `warm`, `cold` or `starting`.

    A live slot with `bake_until` is baking: its version is watched until then before it counts as stable.
    """

    app: str
    slot: Slot
    version: str
    deployment: int
    state: Literal["live", "warm", "cold", "starting"]
    since: str
    warm_until: str | None = None
    bake_until: str | None = None

    @property
    def baking(self) -> bool:
        return self.state == "live" and self.bake_until is not None


@dataclass(frozen=True)
class Pass:
    """One pass of the watchdog over an app. `said` are sentences for people."""

    at: str
    seconds: float
    outcome: Literal["healthy", "acted", "degraded", "failed"]
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepRecord:
    """One line of the journal. `seconds` is how long it took, by a clock that only goes forwards."""

    id: int
    deployment: int
    seq: int
    name: str
    args: dict[str, Any]
    undo: bool
    state: Literal["started", "done", "failed"]
    started_at: str
    finished_at: str | None
    detail: dict[str, Any]
    seconds: float | None = None


@dataclass(frozen=True)
class Deployment:
    """One attempt to make a version live."""

    id: int
    app: str
    kind: Kind
    from_version: str | None
    to_version: str
    from_slot: Slot | None
    to_slot: Slot
    mode: str
    actor: str
    command: str
    started_at: str
    finished_at: str | None = None
    outcome: Outcome | None = None
    reason: str = ""
    git_commit: str | None = None
    config: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class DeploymentCount:
    """How many of an app's deployments of one kind ended in one way, and when the last of them did."""

    kind: Kind
    outcome: Outcome
    count: int
    last: str


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
