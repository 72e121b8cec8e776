"""The endpoints of a slot: the addresses of its replicas at the edge, their health and their counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.traffic.endpoint import EndpointHealth
    from orchestrator.domain.traffic.route import SlotEndpoints
    from orchestrator.domain.traffic.sample import Sample
    from orchestrator.domain.traffic.slot import Slot


class Endpoints(Protocol):
    """What the running proxy knows about the replicas in a slot. No method moves traffic between slots.

    Every method raises ProxyError when the proxy does not answer.
    """

    def register(self, app: str, slot: Slot, endpoints: SlotEndpoints) -> None:
        """Sets the addresses of a slot; each replica is up after it passes the proxy's checks. May be repeated."""

    def drift(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[str]:
        """How the running proxy differs from `slots` (addresses, stopped replicas, versions), in words.

        Changes nothing.
        """

    def repair(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[str]:
        """Makes the running proxy match `slots`; returns what `drift` found before. May be repeated."""

    def park(self, app: str, slot: Slot) -> None:
        """Removes the addresses of a slot: its replicas get no checks and no requests. May be repeated."""

    def wait_up(self, app: str, slot: Slot, count: int, *, timeout: float, cancelled: Callable[[], None]) -> None:
        """Waits until the proxy's own checks have found `count` replicas up; `timeout` in seconds.

        Raises:
            ProxyError: they are not up within `timeout`.
            Whatever `cancelled` raises, which is called during the wait.
        """

    def health(self, app: str, slot: Slot) -> tuple[EndpointHealth, ...]:
        """The proxy's own health check of each replica, in order of their indexes; empty for an unknown slot."""

    def open_requests(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests, streams and WebSockets are open on each replica, by its index, in all workers."""

    def answered(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests each replica has answered, by its index, since the workers of the proxy started.

        Answers with a server error (5xx) are not counted, nor those that the proxy gave instead of the replica.
        """

    def cut(self, app: str, slot: Slot) -> int:
        """Closes all open connections of a slot; returns how many requests were cut."""

    def counters(self, app: str) -> dict[str, dict[Slot, Sample]]:
        """The counters of an app's slots in each worker of the proxy since that worker started, by its name."""

    def unanswered(self, app: str) -> dict[str, int]:
        """How many requests of an app got 503 because they had been held for too long.

        Of each worker of the proxy since that worker started, by its name as in `counters`.
        """
