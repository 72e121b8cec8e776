"""The endpoints of a slot: where the edge finds its replicas, and how they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.traffic.endpoint import EndpointHealth
    from orchestrator.domain.traffic.route import SlotEndpoints
    from orchestrator.domain.traffic.sample import Sample
    from orchestrator.domain.traffic.slot import Slot


class Endpoints(Protocol):
    """What the running proxy knows of the replicas in a slot. Nothing here moves traffic between slots.

    Every method raises ProxyError when the proxy does not answer.
    """

    def register(self, app: str, slot: Slot, endpoints: SlotEndpoints) -> None:
        """Points a slot at its replicas; each must pass a check of the proxy before it is up. May be repeated."""

    def park(self, app: str, slot: Slot) -> None:
        """Points a slot nowhere: no replica gets a check or a request through it. May be repeated."""

    def wait_up(self, app: str, slot: Slot, count: int, *, timeout: float, cancelled: Callable[[], None]) -> None:
        """Waits until the proxy's own checks have found `count` replicas up; `timeout` in seconds.

        Raises:
            ProxyError: not within `timeout`.
            Whatever `cancelled` raises, which is called while it waits.
        """

    def health(self, app: str, slot: Slot) -> tuple[EndpointHealth, ...]:
        """The proxy's own verdict on each replica, in order of their indexes; empty for an unknown slot."""

    def open_requests(self, app: str, slot: Slot) -> dict[int, int]:
        """How many requests, streams and WebSockets are open on each replica, by its index, in all workers."""

    def cut(self, app: str, slot: Slot) -> int:
        """Ends what is open on a slot; returns how many that were."""

    def counters(self, app: str, slot: Slot) -> dict[str, Sample]:
        """What each worker of the proxy has counted of a slot since it started, by a name for the worker."""
