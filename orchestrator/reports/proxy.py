"""What `deployctl proxy status` answers."""

from __future__ import annotations

from typing import Any

from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.ports.services import Services


def proxy_status(services: Services) -> tuple[str, list[dict[str, Any]]]:
    """The state of the proxy, and for each app where its requests go."""
    state = services.proxy.state()
    return state, [_app(services, app, running=state == "running") for app in services.ledger.proxy_apps()]


def _app(services: Services, app: ProxyApp, *, running: bool) -> dict[str, Any]:
    route = services.proxy.running_route(app.name) if running else None
    return {
        "app": app.name,
        "listen": app.route.listen,
        "hosts": list(app.route.hosts),
        "path_prefix": app.route.path_prefix,
        "route": route,
        "on_disk": services.proxy.route(app.name),
        "servers": services.proxy.servers(app.name, route) if route else {},
    }
