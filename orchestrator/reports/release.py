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
class ReleaseReport:
    """How a release or a rollback ended. `deployment` and `kind` are None when there was nothing to do."""

    app: str
    outcome: Literal["succeeded", "nothing to do"]
    version: str
    previous: str | None
    deployment: int | None
    kind: Kind | None
    seconds: float
    bake: BakeReport | None = None
    notes: tuple[str, ...] = ()


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
