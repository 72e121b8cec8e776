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
        if port == other_port and host != other_host and (_any(host) or _any(other_host)):
            raise UsageError(
                f"proxy.listen: {route.listen} overlaps {other.route.listen} of app {other.name}",
                hint="use the same listen address in both, or another port",
            )


def _any(host: str) -> bool:
    return host == "*" or ipaddress.ip_address(host).is_unspecified
