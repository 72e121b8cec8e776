"""What runs in a slot, as the engine reports it."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.domain.traffic.slot import Slot


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
