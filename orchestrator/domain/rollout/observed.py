"""The state of an app at one moment, from the ledger and the engine. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.version import Version
from orchestrator.frozen import frozen


@frozen
class Observed:
    """The state of an app. `image_exists` asks the engine, so it is called only where the answer matters."""

    app: str
    versions: Mapping[str, Version]
    slots: Mapping[Slot, SlotState]
    traffic: TrafficState = field(default_factory=TrafficState)
    containers: tuple[Container, ...] = ()
    image_exists: Callable[[str], bool] = lambda image_id: True

    @property
    def live(self) -> SlotState | None:
        """The slot whose version is live."""
        return self.slots.get(self.traffic.live) if self.traffic.live is not None else None

    def of(self, version: str, slot: Slot | None = None) -> tuple[Container, ...]:
        """The containers of a version, in one slot or in both, ordered by slot and index."""
        matching = [c for c in self.containers if c.version == version and slot in (None, c.slot)]
        return tuple(sorted(matching, key=lambda container: (container.slot, container.index)))
