"""Rounds of the watchdog: a pass over one app or over all of them, and the time between two rounds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.errors import Interrupted
from orchestrator.ports.services import Services
from orchestrator.watch import passes
from orchestrator.watch.follow_up import follow_up
from orchestrator.watch.passed import Passed

_MAX_PARALLEL = 12


def watch_one(services: Services, file: Path) -> Passed:
    """One pass over the app of a deploy.toml, with its notifications."""
    return _pass(services, passes.app_of(services, file))


def watch_all(services: Services, another: Callable[[], Services]) -> list[Passed]:
    """One pass over every app in the ledger, in parallel.

    `another` creates services for one thread, because threads must not share connections to the ledger and the engine.
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

    with ThreadPoolExecutor(max(1, min(_MAX_PARALLEL, len(apps)))) as pool:
        return list(pool.map(watch, apps))


def pause(services: Services, seconds: float) -> None:
    """Waits for the next round; returns at once when `seconds` is negative.

    Raises:
        Interrupted: a signal came, now or during the last pass.
    """
    interrupts = services.interrupts
    # A pass may have disarmed signals so that it is completed: from here on they end the program again.
    interrupts.arm()
    try:
        with interrupts.interruptible():
            services.sleep(max(0.0, seconds))
    except Interrupted:
        raise interrupts.error("stopped; the last pass was completed") from None


def _pass(services: Services, app: str) -> Passed:
    passed = passes.run(services, app)
    follow_up(services, passed)
    return passed
