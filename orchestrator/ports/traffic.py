"""Who gets an app's requests, at the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.domain.traffic.maintenance import Maintenance
    from orchestrator.domain.traffic.state import TrafficState


class Traffic(Protocol):
    """Reads and sets traffic states. The state on disk is authoritative; the running proxy follows it.

    Callers hold the proxy's lock while they change anything. Every method raises ProxyError when the proxy does not
    answer, or when the state on disk is damaged.
    """

    def on_disk(self, app: str) -> TrafficState:
        """The state that the proxy would start with. No slot is live when the app is unknown there."""

    def running(self, app: str) -> TrafficState:
        """The state that the running proxy applies."""

    def readable(self, app: str) -> bool:
        """Whether the state on disk can be read and says which slot is live."""

    def known(self) -> dict[str, TrafficState]:
        """The states of all apps, from the disk, else from the running proxy; empty when both are lost."""

    def apply(self, app: str, state: TrafficState) -> None:
        """Sets a state on disk and in every worker of the proxy, and waits for their confirmation. May be repeated.

        The app's maintenance stays as it is on disk, whatever the state says: see `maintain` and
        `TrafficState.keeping`. Meanwhile no request reaches a slot that has no share in the old state nor in the new
        one.

        Raises:
            ProxyError: a worker did not confirm it. The state on disk is the old one again.
        """

    def apply_all(self, states: Mapping[str, TrafficState]) -> None:
        """Sets the states of several apps as `apply` does: on disk with one write, and in each worker atomically.

        So a crash leaves all of them as they were, or all as they shall be, and a client that has one connection never
        meets a mixture.

        Raises:
            ProxyError: a worker did not confirm it. All states on disk are the old ones again.
        """

    def maintain(self, app: str, maintenance: Maintenance | None) -> None:
        """Begins or changes the app's maintenance, or ends it (None), as `apply` does; all else stays as it is on disk.

        Requests that already wait follow the change. Does nothing without a live version. May be repeated.

        Raises:
            ProxyError: a worker did not confirm it. The state on disk is the old one again.
        """

    def changed_at(self, app: str) -> float | None:
        """When the app's state was last written, in seconds since the epoch; None without a state.

        It may be later than the true time: all apps share one file.
        """

    def forget(self, app: str) -> None:
        """Removes an app's state from the disk and from the proxy, if that runs. May be repeated."""
