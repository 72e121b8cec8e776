"""The proxy that clients reach, as a program with a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.traffic.route import ProxyApp, Route
    from orchestrator.domain.traffic.state import TrafficState
    from orchestrator.ports.progress import Progress


class Edge(Protocol):
    """One proxy for all apps of a state folder. Callers hold the proxy's lock while they change anything.

    Every method raises ProxyError when the proxy does not answer or refuses, and EngineUnreachable when it runs on an
    engine that does not answer. No method fails a request of a client, `down` excepted.
    """

    def state(self) -> str:
        """`running`, `missing`, or what the engine says of a proxy that does not run (`exited`, `paused` …)."""

    def up(self, apps: Sequence[ProxyApp], progress: Progress) -> None:
        """Starts the proxy with `apps` when it does not answer; one that answers is left alone. May be repeated."""

    def down(self) -> None:
        """Removes the proxy: every app behind it stops answering. One that is gone is no error."""

    def reload(self) -> None:
        """Checks the configuration on disk and loads it.

        Raises:
            ProxyError: it is invalid, or could not be loaded; the proxy goes on with the one that it has.
        """

    def apply(self, apps: Sequence[ProxyApp], progress: Progress) -> bool:
        """Brings configuration and names of versions to `apps`; True when that needed a reload. May be repeated.

        Who gets the traffic is not touched: that is `Traffic`.

        Raises:
            ProxyError: the proxy refuses the configuration; the old one stays, on disk and running.
        """

    def check_listen(self, route: Route) -> None:
        """Checks that a route's addresses are free, or ours already. Changes nothing.

        Raises:
            UsageError: another process listens there, or it is no address of this host.
        """

    def drift(self, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState]) -> list[str]:
        """The names of the files that are not what these apps and states make them. Changes nothing."""

    def repair(
        self, app: str, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState], progress: Progress
    ) -> list[str]:
        """Brings files and running proxy to the ledger's word; returns what was repaired, in words.

        `states` are what the ledger says of each app. For other apps than `app` a state is only restored where it is
        lost: they may be in the middle of a switch. An app that is missing in `states` keeps the state on disk. May be
        repeated: the second time it returns an empty list.
        """
