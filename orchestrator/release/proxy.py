"""Starting, reloading, upgrading and removing the proxy of the state folder. Each holds the proxy's lock."""

from __future__ import annotations

from orchestrator.domain.traffic.program import Leaving, Program
from orchestrator.errors import Interrupted, UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services

# How long an upgrade waits for open requests in the old proxy, and for idle connections: those are kept for 75 seconds
# when no request comes, and a stream may last for hours. Seconds.
_PATIENCE = 30.0
_IDLE_PATIENCE = 5.0
_TICK = 0.1


@frozen
class Upgraded:
    """The program before and after; None when no proxy answered. `leaving` is what the old proxy still finishes."""

    before: Program | None
    after: Program | None
    leaving: Leaving | None


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


def upgrade(services: Services) -> Upgraded:
    """Builds the proxy anew, and replaces the running one. No request fails, and no stream is cut.

    Waits for the old proxy to end, but not for long: any later command removes it when it has.

    Raises:
        ProxyError: the new proxy cannot be built, or does not serve what the old one serves. The old one goes on.
        UsageError: an earlier upgrade has left a proxy that still finishes its requests.
        Interrupted: a signal came. Its message says which proxy serves.
    """
    services.ledger.proxy_apps()  # before the build, which takes a minute: it may be damaged
    before = services.edge.program()
    try:
        services.reporter.step("build the proxy's image")
        image = services.edge.build(services.progress)
        services.reporter.step("replace the proxy")
        # The build was done without the lock, which others wait for.
        with services.locks.proxy():
            services.edge.upgrade(image, services.ledger.proxy_apps(), services.progress)
    except Interrupted as error:
        raise services.interrupts.error("stopped before the proxy was replaced: the old one keeps serving") from error
    left = _await_end(services)
    after = services.edge.program()
    if left is not None and services.interrupts.pending:
        raise services.interrupts.error(f"the proxy was replaced; the old one still has {left}")
    return Upgraded(before, after, left)


def _await_end(services: Services) -> Leaving | None:
    """Waits until the old proxy has ended, and removes it; returns what is open when the wait is over."""
    started, reported = services.clock(), 0.0
    while (left := services.edge.leaving()) is not None:
        waited = services.clock() - started
        limit = _PATIENCE if left.requests else _IDLE_PATIENCE
        if waited >= limit or services.interrupts.pending:
            return left
        if waited >= reported + 1:
            reported = waited
            services.reporter.detail(f"the old proxy still has {left}, {limit - waited:.0f} s left to wait")
        services.sleep(_TICK)
    with services.locks.proxy():
        services.edge.up(services.ledger.proxy_apps(), services.progress)
    return None


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
