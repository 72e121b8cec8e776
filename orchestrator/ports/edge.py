"""The proxy that clients connect to: its process and its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.traffic.program import Leaving, Program, Refusals
    from orchestrator.domain.traffic.route import ProxyApp, Route
    from orchestrator.domain.traffic.state import TrafficState
    from orchestrator.ports.progress import Progress


class Edge(Protocol):
    """One proxy for all apps of a state folder. Callers hold the proxy's lock while they change anything.

    Every method raises ProxyError when the proxy does not answer or refuses, and EngineUnreachable when it runs on an
    engine that does not answer. No method except `down` makes a request of a client fail.
    """

    def state(self) -> str:
        """`running`, `missing`, or the engine's state of a proxy that does not run (`exited`, `paused` …)."""

    def changed_files(self, apps: Sequence[ProxyApp]) -> list[str]:
        """The files of the proxy that do not say what was written for `apps`, by name. Changes nothing.

        Files of another version of deployctl are not compared: the next change writes them anew.
        """

    def up(self, apps: Sequence[ProxyApp], progress: Progress) -> None:
        """Starts the proxy with `apps` when it does not answer; one that answers is left alone. May be repeated.

        Finishes or undoes an interrupted `upgrade`, and removes a replaced proxy that has ended.
        """

    def down(self) -> None:
        """Removes the proxy, and one that it has replaced: all of its apps stop answering. May be repeated."""

    def reload(self) -> None:
        """Checks the configuration on disk and loads it.

        Raises:
            ProxyError: it is invalid, or could not be loaded; the proxy keeps the current one.
        """

    def apply(self, apps: Sequence[ProxyApp], progress: Progress) -> bool:
        """Updates the configuration and the names of versions to `apps`; True when this needed a reload.

        Does not change who gets the traffic: see `Traffic`. May be repeated.

        Raises:
            ProxyError: the proxy refuses the configuration; the old one is kept, on disk and running.
        """

    def check_listen(self, route: Route) -> None:
        """Checks that a route's addresses are free, or used by this proxy already. Changes nothing.

        Raises:
            UsageError: another process listens there, or this host does not have the address.
        """

    def drift(self, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState]) -> list[str]:
        """The names of the files that do not match these apps and states. Changes nothing."""

    def repair(
        self, app: str, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState], progress: Progress
    ) -> list[str]:
        """Makes files and running proxy match the ledger; returns what was repaired, in words.

        `states` are the traffic states in the ledger. For apps other than `app` a state is restored only when it is
        lost, because a switch may be in progress. An app that is missing in `states` keeps the state on disk. May be
        repeated: the second time it returns an empty list.
        """

    # Another program

    def program(self) -> Program | None:
        """The program that runs; None when it does not answer."""

    def build(self, progress: Progress) -> str:
        """Rebuilds the proxy's program with the current security fixes; returns the id of its image.

        Changes nothing that runs, so it needs no lock. May be repeated.

        Raises:
            ProxyError: it could not be built.
            UsageError: a replaced proxy still finishes its requests, so there can be no `upgrade`.
            Interrupted: `progress.check` raised it.
        """

    def upgrade(self, image: str, apps: Sequence[ProxyApp], progress: Progress) -> None:
        """Replaces the running proxy by one of an image of `build`. When no proxy runs, starts that one.

        The new one takes over the addresses before the old one stops accepting connections. The old one finishes what
        is open, and follows every change meanwhile: see `leaving`.

        Raises:
            ProxyError: the new proxy does not start, rejects the configuration, or cannot reach the containers that
                the old one reaches; or the traffic states on disk, which it would begin with, are not those of the old
                one. The old one keeps serving.
            UsageError: a replaced proxy still finishes its requests.
            Interrupted: `progress.check` raised it; the old one keeps serving.
        """

    def leaving(self) -> Leaving | None:
        """What a replaced proxy still has open; None when there is none, or it has ended."""

    def refusals(self, listens: Sequence[str]) -> list[Refusals]:
        """What the running proxy has refused at each of these addresses of routes, in this order."""
