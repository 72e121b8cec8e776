"""Waiting for the requests that are open on a slot."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.traffic.slot import Slot
from orchestrator.ports.services import Services
from orchestrator.text import counted

# How long to sleep between two looks, in seconds.
_TICK = 0.02


def wait_until_closed(
    services: Services, app: str, slot: Slot, limit: float, where: str, shortened: Callable[[float], float]
) -> tuple[int, float]:
    """Waits until no request is open on a slot, up to a limit in seconds, and reports what is open once a second.

    Returns how many are still open, and the limit in seconds that ended the wait. `where` is the slot in a message.
    `shortened` gets how long the wait has taken, and returns a limit that is used when it is the shorter one.

    Raises:
        ProxyError: the proxy does not answer.
        Whatever `shortened` raises.
    """
    started, reported = services.clock(), 0.0
    while count := sum(services.endpoints.open_requests(app, slot).values()):
        waited = services.clock() - started
        limit = min(limit, shortened(waited))
        if waited >= limit:
            break
        if waited >= reported + 1:
            reported = waited
            services.reporter.update(f"{counted(count, 'request')} still open {where}, {limit - waited:.0f} s left")
        services.sleep(_TICK)
    return count, limit
