"""Who gets an app's requests, at the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.traffic.state import TrafficState


class Traffic(Protocol):
    """Reads and sets traffic states. What is on disk is the truth; the running proxy follows it.

    Callers hold the proxy's lock while they change anything. Every method raises ProxyError when the proxy does not
    answer, or when what is on disk is damaged.
    """

    def on_disk(self, app: str) -> TrafficState:
        """The state that the proxy would start with. No slot is live when the app is unknown there."""

    def running(self, app: str) -> TrafficState:
        """The state that the running proxy applies."""

    def readable(self, app: str) -> bool:
        """Whether the state on disk can be read and says which slot is live."""

    def known(self) -> dict[str, TrafficState]:
        """The states of all apps: from the disk, else from the running proxy; empty when both are lost."""

    def apply(self, app: str, state: TrafficState) -> None:
        """Sets a state: on disk, then in every worker of the proxy, then confirmed by every worker. May be repeated.

        No request in between meets a slot that has no share in the old state or in the new one.

        Raises:
            ProxyError: a worker did not confirm it. The disk says again what it said before.
        """

    def changed_at(self, app: str) -> float | None:
        """When the app's state was written last, at the latest (seconds since the epoch); None when it is not there."""

    def forget(self, app: str) -> None:
        """Removes an app's state from disk and, if it runs, from the proxy. May be repeated."""
