"""Slots: the two places where a version can run, and what the ledger says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Slot = Literal["blue", "green"]
SLOTS: tuple[Slot, Slot] = ("blue", "green")


def other(slot: Slot) -> Slot:
    """The slot that is not `slot`."""
    return "green" if slot == "blue" else "blue"


@dataclass(frozen=True)
class SlotState:
    """What the ledger says of a slot: the version in it and its state: `starting`, `ready`, `warm` or `cold`.

    Whether a ready slot gets requests is said by the traffic state. One with `bake_until` is baking: its version is
    watched until then before it is stable. `live` is written by the old ledger only.
    """

    app: str
    slot: Slot
    version: str
    deployment: int
    state: Literal["starting", "ready", "warm", "cold", "live"]
    since: str
    warm_until: str | None = None
    bake_until: str | None = None

    @property
    def baking(self) -> bool:
        return self.state in ("ready", "live") and self.bake_until is not None
