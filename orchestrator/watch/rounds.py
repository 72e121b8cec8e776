"""Rounds of the watchdog: a pass over one app or over all of them, and the time between two rounds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.errors import Interrupted
from orchestrator.ports.services import Services
from orchestrator.watch import passes
from orchestrator.watch.aftermath import aftermath
from orchestrator.watch.passes import Passed

_AT_THE_SAME_TIME = 12


def watch_one(services: Services, file: Path) -> Passed:
    """One pass over the app of a deploy.toml, and what follows it."""
    return _pass(services, passes.app_of(services, file))


def watch_all(services: Services, another: Callable[[], Services]) -> list[Passed]:
    """One pass over every app in the ledger, at the same time.

    `another` makes services like these for one thread: the connections of the ledger and the engine are not shared.
    """
    apps = services.ledger.apps()
    if len(apps) == 1:
        return [_pass(services, apps[0])]

    def watch(app: str) -> Passed:
        own = another()
        try:
            return _pass(own, app)
        finally:
            own.ledger.close()

    with ThreadPoolExecutor(max(1, min(_AT_THE_SAME_TIME, len(apps)))) as pool:
        return list(pool.map(watch, apps))


def pause(services: Services, seconds: float) -> None:
    """Waits for the next round. Not at all when `seconds` is negative.

    Raises:
        Interrupted: a signal came, perhaps already during the last pass.
    """
    interrupts = services.interrupts
    # A pass that must not be cut short disarms signals: from here on they end the program again.
    interrupts.arm()
    try:
        with interrupts.interruptible():
            services.sleep(max(0.0, seconds))
    except Interrupted:
        raise interrupts.error("no more passes; the last one was finished") from None


def _pass(services: Services, app: str) -> Passed:
    passed = passes.run(services, app)
    aftermath(services, passed)
    return passed
