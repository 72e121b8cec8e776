"""How requests find an app: its route, and what the proxy knows of its slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.slot import Slot


@dataclass(frozen=True)
class Route:
    """How the proxy tells an app's requests from other apps' requests, and its time limits in seconds.

    `metrics` is where the proxy tells Prometheus how it is; empty: nowhere.
    """

    listen: str
    hosts: tuple[str, ...] = ()
    path_prefix: str = ""
    strip_prefix: bool = True
    timeout: float = 3600.0
    metrics: str = ""

    def claims(self) -> set[tuple[str, str, str]]:
        """Every (listen, host, prefix) that this route answers; an empty host means any."""
        return {(self.listen, host, self.path_prefix) for host in (self.hosts or ("",))}


@dataclass(frozen=True)
class SlotEndpoints:
    """What the edge knows of one slot: where its replicas are, in order of their indexes, and how to probe them.

    `active`: the slot is in use; else it is parked, and none of its replicas gets a check or a request.
    """

    version: str
    addresses: tuple[str, ...]
    probe: ProbeSpec
    active: bool = False


@dataclass(frozen=True)
class ProxyApp:
    """One app as the proxy sees it: its route and both slots."""

    name: str
    route: Route
    slots: Mapping[Slot, SlotEndpoints] = field(hash=False)
