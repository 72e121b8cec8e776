"""Whether the proxy sends the requests of an app to its own containers. Reads only."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import ProxyError
from orchestrator.ports.services import Services


def wrong_addresses(services: Services, app: str, containers: Sequence[Container], proxy: str) -> list[str]:
    """Where the addresses of an app in the running proxy, in the ledger and on the engine differ, in words.

    `containers` are the app's. `proxy` is the state of the proxy; one that does not run is not asked. A container is
    recognised by its labels: what answers at an address may be another program's.
    """
    known = services.ledger.proxy_app(app)
    if known is None:
        return []
    problems = []
    if proxy == "running":
        try:
            problems += services.endpoints.drift(app, known.slots)
        except ProxyError as error:
            problems.append(f"the addresses in the running proxy could not be checked: {error}")
    for slot, endpoints in known.slots.items():
        if not endpoints.active:
            continue
        for container in containers:
            if (container.version, container.slot) != (endpoints.version, slot):
                continue
            recorded = endpoints.addresses[container.index - 1 : container.index]
            if container.running and recorded and container.address != recorded[0]:
                where = f"its address is {container.address or 'none'}"
                problems.append(
                    f"the proxy sends the requests for {container.name} to {recorded[0] or 'nothing'}, {where}"
                )
    return problems
