"""Builders of records for the ledger."""

from __future__ import annotations

from typing import Any

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.rollout.deployment import PlanRecord
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from tests.unit.builders import APP

BLUE = TrafficState(live="blue")
GREEN = TrafficState(live="green")
SINCE = "2030-12-31T00:00:00.000Z"
PLAN = PlanRecord(
    kind="release",
    app=APP,
    from_version="v1",
    to_version="v2",
    from_slot="blue",
    to_slot="green",
    mode="create",
    before=BLUE,
    steps=(("build", {"version": "v2"}), ("probe", {"version": "v2", "slot": "green", "warm": True})),
)


def slot(name: str, version: str, deployment: int = 1, state: str = "ready", **more: Any) -> SlotState:
    place: Slot = "blue" if name == "blue" else "green"
    return SlotState(
        **{"app": APP, "since": SINCE, **more}, slot=place, version=version, deployment=deployment, state=state
    )  # type: ignore[arg-type]


def begin(ledger: SqliteLedger, plan: PlanRecord = PLAN) -> int:
    return ledger.begin(plan, actor="somebody", command="deployctl release", commit=None, config={"a": 1}).id


def pragma(ledger: SqliteLedger, name: str) -> Any:
    return ledger._db.execute(f"PRAGMA {name}").fetchone()[0]
