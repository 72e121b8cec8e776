"""A deployment and its journal, as they are recorded."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen

Kind = Literal["release", "promote", "abort", "rollback", "auto-rollback", "drill"]
"""A `drill` changes what runs, and moves no traffic: it proves that a rollback would work."""
Outcome = Literal["succeeded", "failed", "undone"]


@frozen
class PlanRecord:
    """A plan as it is stored: its steps as names and arguments, ready for JSON.

    `mode`: `create` (new containers), `start` (kept ones) or `switch` (warm ones). `before` is the traffic state when
    it begins.
    """

    kind: Kind
    app: str
    from_version: str | None
    to_version: str
    from_slot: Slot | None
    to_slot: Slot
    mode: str
    before: TrafficState
    steps: tuple[tuple[str, dict[str, Any]], ...]


@frozen
class StepRecord:
    """One step in the journal. Times are UTC in ISO 8601; `seconds` is how long it took, by a monotonic clock."""

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


@frozen
class Deployment:
    """One attempt to change what runs or who gets the requests. Times are UTC in ISO 8601."""

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


@frozen
class DeploymentCount:
    """How many of an app's deployments of one kind ended with one outcome, and when the last of them ended."""

    kind: Kind
    outcome: Outcome
    count: int
    last: str
