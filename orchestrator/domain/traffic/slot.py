"""Slots: the two places where a version can run, and the state of each. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.frozen import frozen

Slot = Literal["blue", "green"]
SLOTS: tuple[Slot, Slot] = ("blue", "green")


def other(slot: Slot) -> Slot:
    """The slot that is not `slot`."""
    return "green" if slot == "blue" else "blue"


SlotPhase = Literal["starting", "ready", "warm", "cold"]


@frozen
class SlotState:
    """The state of a slot as the ledger records it. Times are UTC in ISO 8601.

    `starting`: its containers are being created and started. `ready`: it passed its probes and may get a share of the
    traffic. `warm`: it runs without a share. `cold`: it is stopped but kept. `since` is when this state began. A ready
    slot with `bake_until` is baking: its version is watched until then before it counts as stable.
    """

    app: str
    slot: Slot
    version: str
    deployment: int
    state: SlotPhase
    since: str
    warm_until: str | None = None
    bake_until: str | None = None

    @property
    def baking(self) -> bool:
        return self.state == "ready" and self.bake_until is not None
