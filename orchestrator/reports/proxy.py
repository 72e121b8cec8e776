"""The proxy and the routes of all apps. Reads only."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.domain.moments import iso
from orchestrator.domain.traffic.endpoint import EndpointHealth
from orchestrator.domain.traffic.program import Leaving, Program, Refusals
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.text import counted

# From this age on, an image is said to be old. Security fixes of Debian are as frequent. Days.
OLD = 90


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
class ProxyProgram:
    """The program that runs, and when its image was built (null: not known)."""

    name: str
    built_at: str | None


@frozen
class ProxyStatusReport:
    """The proxy, and every app that it serves.

    `previous` is what a proxy that was replaced still has open; null when there is none. `addresses` are what the proxy
    has refused since its workers started.
    """

    proxy: ProxyState
    apps: tuple[ProxyAppStatus, ...]
    program: ProxyProgram | None
    previous: Leaving | None
    addresses: tuple[Refusals, ...]


@frozen
class ProxyUpgradeReport:
    """The proxy after `proxy upgrade`. `before` is null when no proxy answered before."""

    proxy: ProxyState
    before: ProxyProgram | None
    after: ProxyProgram | None
    previous: Leaving | None
    seconds: float


def proxy_report(services: Services) -> ProxyReport:
    """The proxy as it is now."""
    return ProxyReport(ProxyState(services.edge.state()))


def proxy_program(program: Program | None) -> ProxyProgram | None:
    """The program as reports have it."""
    if program is None:
        return None
    built_at = None if program.built_at is None else iso(datetime.fromtimestamp(program.built_at, UTC))
    return ProxyProgram(program.name, built_at)


def age(built_at: str | None, now: datetime) -> int | None:
    """How many days ago an image was built; None: not known."""
    if built_at is None:
        return None
    return max(0, (now - datetime.fromisoformat(built_at)).days)


def program_text(program: ProxyProgram, now: datetime) -> str:
    """The program, the age of its image, and the command when that is old."""
    days = age(program.built_at, now)
    if days is None:
        return f"{program.name}; its image was removed: 'deployctl proxy upgrade' rebuilds it"
    text = f"{program.name}, image built {counted(days, 'day')} ago"
    return f"{text}; 'deployctl proxy upgrade' rebuilds it with current security fixes" if days >= OLD else text


def proxy_status(services: Services) -> ProxyStatusReport:
    """The proxy and its apps as they are now.

    Raises:
        ProxyError: the proxy runs and does not answer.
    """
    state = services.edge.state()
    running = state == "running"
    known = services.ledger.proxy_apps()
    apps = []
    for app in known:
        route = services.traffic.running(app.name).live if running else None
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
    listens = sorted({app.route.listen for app in known})
    return ProxyStatusReport(
        ProxyState(state),
        tuple(apps),
        proxy_program(services.edge.program()) if running else None,
        services.edge.leaving(),
        tuple(services.edge.refusals(listens)) if running else (),
    )
