"""How a release or a rollback ended. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.rollout.deployment import Kind
from orchestrator.frozen import frozen


@frozen
class BakeReport:
    """How the bake of a release ended. `seconds` is how long it was watched; None when the watchdog finishes it."""

    outcome: Literal["stable", "baking", "replaced"]
    until: str | None
    seconds: float | None = None


@frozen
class CandidateReport:
    """The rollout that goes on. `share` is in percent, `stage` counts from 1; with `preview` both are 0."""

    id: int
    version: str
    share: float
    stage: int
    preview: bool


@frozen
class ReleaseReport:
    """How a release or a rollback ended. `deployment` and `kind` are None when there was nothing to do.

    `rollout` is None when the version is live, or no candidate any more.
    """

    app: str
    outcome: Literal["succeeded", "nothing to do"]
    version: str
    previous: str | None
    deployment: int | None
    kind: Kind | None
    seconds: float
    bake: BakeReport | None = None
    notes: tuple[str, ...] = ()
    rollout: CandidateReport | None = None


@frozen
class TogetherReport:
    """How a release of several apps together ended, in the order of their files. `seconds` is for all of them."""

    apps: tuple[ReleaseReport, ...]
    seconds: float


@frozen
class HeldReport:
    """Whether a rollout is held. `held_by` is None when it goes on."""

    app: str
    rollout: int
    version: str
    held_by: str | None
