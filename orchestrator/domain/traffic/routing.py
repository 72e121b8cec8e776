"""Conflicts between the routes of apps. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from orchestrator.domain.traffic.route import ProxyApp, Route
from orchestrator.errors import UsageError


def split_listen(listen: str) -> tuple[str, int]:
    """('127.0.0.1', 8000) for '127.0.0.1:8000', ('::1', 8000) for '[::1]:8000'."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def refuse_conflicts(app: str, route: Route, others: Sequence[ProxyApp]) -> None:
    """Checks a new route against the routes of other apps.

    Raises:
        UsageError: another app has this route, or one of its addresses conflicts with an address of another app.
    """
    rest = [other for other in others if other.name != app]
    for other in rest:
        shared = route.claims() & other.route.claims()
        if shared:
            listen, name, prefix = min(shared)
            raise UsageError(
                f"proxy.listen: {listen}{' host ' + name if name else ''}{prefix or ''} is the route of"
                f" app {other.name}",
                hint="set another proxy.host, proxy.path_prefix or proxy.listen for this app",
            )
        if route.listen != other.route.listen and conflicting(route.listen, other.route.listen):
            raise UsageError(
                f"proxy.listen: {route.listen} overlaps {other.route.listen} of app {other.name}",
                hint="use the same listen address in both, or another port",
            )
    _refuse_metrics(route, rest)
    _refuse_preview(route, rest)


def _refuse_metrics(route: Route, others: Sequence[ProxyApp]) -> None:
    """Metrics have their own frontend: apps may share one, but its address must not serve an app."""
    hint = "choose another port"
    if route.metrics and conflicting(route.metrics, route.listen):
        raise UsageError(f"proxy.metrics: {route.metrics} is taken by proxy.listen ({route.listen})", hint=hint)
    for other in others:
        if route.metrics and conflicting(route.metrics, other.route.listen):
            raise UsageError(
                f"proxy.metrics: {route.metrics} is taken by {other.route.listen}, where app {other.name} is served",
                hint=hint,
            )
        if not other.route.metrics:
            continue
        if conflicting(route.listen, other.route.metrics):
            raise UsageError(
                f"proxy.listen: {route.listen} is taken by proxy.metrics of app {other.name} ({other.route.metrics})",
                hint=hint,
            )
        if route.metrics and route.metrics != other.route.metrics and conflicting(route.metrics, other.route.metrics):
            raise UsageError(
                f"proxy.metrics: {route.metrics} overlaps {other.route.metrics} of app {other.name}",
                hint="use the same address in both, or another port",
            )


def _refuse_preview(route: Route, others: Sequence[ProxyApp]) -> None:
    """A preview leads to one app: nothing else, not even the preview of another app, may be at its address."""
    hint = "choose another port"
    mine = {"listen": route.listen, "metrics": route.metrics, "preview": route.preview}
    for key in ("listen", "metrics"):
        if route.preview and mine[key] and conflicting(route.preview, mine[key]):
            raise UsageError(f"proxy.preview: {route.preview} is taken by proxy.{key} ({mine[key]})", hint=hint)
    for other in others:
        theirs = {"listen": other.route.listen, "metrics": other.route.metrics, "preview": other.route.preview}
        for key, address in mine.items():
            for their_key, taken in theirs.items():
                if "preview" in (key, their_key) and address and taken and conflicting(address, taken):
                    raise UsageError(
                        f"proxy.{key}: {address} is taken by proxy.{their_key} of app {other.name} ({taken})",
                        hint=hint,
                    )


def conflicting(one: str, two: str) -> bool:
    """Whether two frontends cannot listen on these addresses at the same time."""
    (host, port), (other, other_port) = split_listen(one), split_listen(two)
    return port == other_port and (host == other or _overlap(host, other))


def _overlap(host: str, other: str) -> bool:
    """Whether one of two different addresses includes the other."""
    if {"*", "::"} & {host, other}:
        # Both are all addresses of both families.
        return True
    return any(_all_ipv4(one) and ":" not in two for one, two in ((host, other), (other, host)))


def _all_ipv4(host: str) -> bool:
    return ipaddress.ip_address(host) == ipaddress.IPv4Address(0)
