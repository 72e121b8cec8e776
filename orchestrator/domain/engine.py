"""The engine that the containers of a state folder run on."""

from __future__ import annotations

from orchestrator.frozen import frozen


@frozen
class Machine:
    """The machine that an engine runs on: its memory in bytes, and the release of its kernel."""

    memory: int
    kernel: str


@frozen
class Engine:
    """An engine: its identity, the name of its machine, and the address at which it was asked."""

    id: str
    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.name} ({self.host})"
