"""The live version and the proxy in front of it, as `status` reports them."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.endpoint import EndpointHealth
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.errors import DeployctlError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.text import counted


@frozen
class ContainerHealth:
    """A container of the live version. `healthy`: it runs, and the proxy's health check passes.

    `healthy` is null when the container runs and the proxy does not answer.
    """

    id: str
    name: str
    state: str
    healthy: bool | None
    restarts: int


@frozen
class LiveVersion:
    """The version that receives the traffic."""

    version: str
    slot: Slot
    image: str
    image_id: str
    since: str
    containers: tuple[ContainerHealth, ...]


@frozen
class ProxyStatus:
    """The proxy, from the view of this app. `route` is the slot that gets the requests."""

    state: str
    listen: str
    route: Slot | None


Health = Mapping[int, EndpointHealth]
"""The health of each replica as the proxy reports it, by index."""


def wrong_route(services: Services, app: str, slot: Slot, proxy: ProxyStatus) -> list[str]:
    """Where the route of the proxy, or the one that it would start with, differs from the ledger's."""
    problems = []
    if proxy.state == "running" and proxy.route != slot:
        problems.append(
            f"the proxy sends requests to {proxy.route or 'nothing'}, the ledger says {slot}: deployctl recover"
        )
    try:
        on_disk = services.traffic.on_disk(app).live
    except DeployctlError as error:
        return [*problems, f"{error}: deployctl recover"]
    if on_disk != slot:
        problems.append(f"routes.map says {on_disk or 'nothing'}, the ledger says {slot}: deployctl recover")
    return problems


def proxy_status(
    services: Services, app: str, live: Slot | None, listen: str, problems: list[str]
) -> tuple[ProxyStatus, Health | None]:
    """The proxy's status, and its health check of each replica in the live slot; None when it does not answer.

    `live` is the ledger's: while they differ, the proxy's own route leads to another version.
    """
    known = services.ledger.proxy_app(app)
    address = known.route.listen if known else listen
    state = services.edge.state()
    if state != "running":
        if known is not None:
            problems.append(f"the proxy is {state}: deployctl recover")
        return ProxyStatus(state, address, None), None
    route: Slot | None = None
    try:
        route = services.traffic.running(app).live
        health = {each.index: each for each in services.endpoints.health(app, live)} if live else {}
    except DeployctlError as error:
        problems.append(f"the proxy does not answer ({error}): deployctl recover")
        return ProxyStatus(state, address, route), None
    return ProxyStatus(state, address, route), health


def live_version(
    services: Services, observed: Observed, live: SlotState, health: Health | None, problems: list[str]
) -> LiveVersion:
    """The live version; `health` is None when the proxy does not answer."""
    version = observed.versions[live.version]
    rows = []
    for container in observed.of(live.version, live.slot):
        endpoint = health.get(container.index) if health is not None else None
        healthy = None
        if health is not None or not container.running:
            healthy = container.running and endpoint is not None and endpoint.up
        if healthy is False:
            problems.append(_complaint(container, endpoint))
        rows.append(ContainerHealth(container.id, container.name, container.state, healthy, container.restarts))
    wanted = services.ledger.settings(observed.app, live.version)["run"]["replicas"]
    if len(rows) < wanted:
        missing = wanted - len(rows)
        verb = "is" if missing == 1 else "are"
        problems.append(f"{counted(missing, 'container')} of {live.version} {verb} missing: deployctl recover")
    return LiveVersion(
        version=live.version,
        slot=live.slot,
        image=version.image,
        image_id=version.image_id,
        since=live.since,
        containers=tuple(rows),
    )


def _complaint(container: Container, endpoint: EndpointHealth | None) -> str:
    if not container.running:
        state = "has exited" if container.state == "exited" else f"is {container.state}"
        return f"{container.name} {state} (exit code {container.exit_code}): deployctl recover"
    verdict = endpoint.status if endpoint is not None else "unknown"
    return f"{container.name} runs, but the proxy reports {verdict}: deployctl logs"
