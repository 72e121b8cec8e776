"""The route of an app, and what the proxy knows about its slots. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen

LOOPBACK = ("127.0.0.0/8", "::1/128")
EVERYBODY = ("0.0.0.0/0", "::/0")


@frozen
class Route:
    """Which requests belong to an app, and their time limit in seconds.

    `metrics` is the address of the proxy's metrics for Prometheus, `preview` that of the candidate, where it answers
    before clients reach it; empty: there is none. `trusted` are the networks whose X-Forwarded-* headers are passed on.
    `repeatable` are the methods of requests that may be sent a second time. `sticky` names the sessions whose requests
    go to one replica: `cookie`, `header:NAME`, `query:NAME`, or `none`.
    """

    listen: str
    hosts: tuple[str, ...] = ()
    path_prefix: str = ""
    strip_prefix: bool = True
    timeout: float = 3600.0
    metrics: str = ""
    trusted: tuple[str, ...] = LOOPBACK
    preview: str = ""
    repeatable: tuple[str, ...] = ("GET", "HEAD", "POST", "OPTIONS")
    sticky: str = "none"

    def claims(self) -> set[tuple[str, str, str]]:
        """The (listen, host, prefix) combinations of this route; an empty host stands for any host."""
        return {(self.listen, host, self.path_prefix) for host in (self.hosts or ("",))}


@frozen
class SlotEndpoints:
    """What the edge knows about one slot: the addresses of its replicas in order of their indexes, and their probe.

    An empty address: the replica gets no requests, because no address is certain to be its own.
    `active`: the slot is in use. Otherwise it is parked: its replicas get no checks and no requests. `port` is where
    the replicas answer requests; 0: where they answer probes. `closing`: they close a connection after an answer when
    they are asked to.
    """

    version: str
    addresses: tuple[str, ...]
    probe: ProbeSpec
    active: bool = False
    port: int = 0
    closing: bool = True

    @property
    def service_port(self) -> int:
        """The port for requests."""
        return self.port or self.probe.port

    def target(self, index: int) -> str:
        """Where the requests for replica `index` (from 1) go, as `address:port`; empty: nowhere."""
        here = self.active and index <= len(self.addresses) and self.addresses[index - 1]
        return f"{here}:{self.service_port}" if here else ""


@frozen
class ProxyApp:
    """What the proxy knows about one app: its route and its slots."""

    name: str
    route: Route
    slots: Mapping[Slot, SlotEndpoints] = field(hash=False)
