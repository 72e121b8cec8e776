"""Which requests belong to which app. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from orchestrator.core.model import ProxyApp, Route
from orchestrator.errors import UsageError


def split_listen(listen: str) -> tuple[str, int]:
    """('127.0.0.1', 8000) for '127.0.0.1:8000', ('::1', 8000) for '[::1]:8000'."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def refuse_conflicts(app: str, route: Route, others: Sequence[ProxyApp]) -> None:
    """Holds a new route against those that exist.

    Raises:
        UsageError: another app has this route, or its listen address cannot stand beside another's.
    """
    host, port = split_listen(route.listen)
    for other in others:
        if other.name == app:
            continue
        shared = route.claims() & other.route.claims()
        if shared:
            listen, name, prefix = min(shared)
            raise UsageError(
                f"proxy.listen: {listen}{' host ' + name if name else ''}{prefix or ''} is the route of"
                f" app {other.name}",
                hint="give this app a proxy.host, a proxy.path_prefix or a proxy.listen of its own",
            )
        other_host, other_port = split_listen(other.route.listen)
        if port == other_port and host != other_host and _overlap(host, other_host):
            raise UsageError(
                f"proxy.listen: {route.listen} overlaps {other.route.listen} of app {other.name}",
                hint="use the same listen address in both, or another port",
            )


def _overlap(host: str, other: str) -> bool:
    """Whether two different addresses cannot be listened on at one port: one of them holds the other."""
    if "::" in (host, other):
        # Linux listens on all IPv4 addresses there, too.
        return True
    return any(_all_ipv4(one) and ":" not in two for one, two in ((host, other), (other, host)))


def _all_ipv4(host: str) -> bool:
    return host == "*" or ipaddress.ip_address(host) == ipaddress.IPv4Address(0)
