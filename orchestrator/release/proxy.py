"""Starting, reloading and removing the proxy of the state folder. Each holds the proxy's lock."""

from __future__ import annotations

from orchestrator.errors import UsageError
from orchestrator.ports.services import Services


def start(services: Services) -> None:
    """Starts the proxy with every app in the ledger. Does nothing when it runs already.

    Raises:
        ProxyError: it does not start.
    """
    with services.locks.proxy():
        services.edge.apply(services.ledger.proxy_apps(), services.progress)


def reload(services: Services) -> None:
    """Makes the proxy load its configuration again. No request fails.

    Raises:
        ProxyError: the configuration is invalid; the proxy keeps the current one.
    """
    with services.locks.proxy():
        services.edge.up(services.ledger.proxy_apps(), services.progress)
        services.edge.reload()


def remove(services: Services, *, force: bool) -> list[str]:
    """Removes the proxy; returns the names of the apps that stop answering.

    Raises:
        UsageError: it serves apps, and `force` is not set.
    """
    with services.locks.proxy():
        served = [app.name for app in services.ledger.proxy_apps()]
        if served and not force:
            raise UsageError(
                f"the proxy serves {', '.join(served)}", hint="deployctl proxy down --force removes it anyway"
            )
        services.edge.down()
    return served
