"""The proxy and the routes of all apps. Reads only."""

from __future__ import annotations

from orchestrator.domain.traffic.endpoint import EndpointHealth
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services


@frozen
class ProxyState:
    """`running`, `missing`, or what the engine says of a proxy that does not run."""

    state: str


@frozen
class ProxyReport:
    """The proxy after `proxy up`, `reload` or `down`."""

    proxy: ProxyState


@frozen
class ProxyAppStatus:
    """One app at the proxy. `route` is the running proxy's, `on_disk` the one that it would start with."""

    app: str
    listen: str
    hosts: tuple[str, ...]
    path_prefix: str
    route: Slot | None
    on_disk: Slot | None
    endpoints: tuple[EndpointHealth, ...]


@frozen
class ProxyStatusReport:
    """The proxy, and every app that it serves."""

    proxy: ProxyState
    apps: tuple[ProxyAppStatus, ...]


def proxy_report(services: Services) -> ProxyReport:
    """The proxy as it is now."""
    return ProxyReport(ProxyState(services.edge.state()))


def proxy_status(services: Services) -> ProxyStatusReport:
    """The proxy and its apps as they are now.

    Raises:
        ProxyError: the proxy runs and does not answer.
    """
    state = services.edge.state()
    apps = []
    for app in services.ledger.proxy_apps():
        route = services.traffic.running(app.name).live if state == "running" else None
        apps.append(
            ProxyAppStatus(
                app=app.name,
                listen=app.route.listen,
                hosts=app.route.hosts,
                path_prefix=app.route.path_prefix,
                route=route,
                on_disk=services.traffic.on_disk(app.name).live,
                endpoints=services.endpoints.health(app.name, route) if route else (),
            )
        )
    return ProxyStatusReport(ProxyState(state), tuple(apps))
