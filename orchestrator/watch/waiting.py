"""Waiting after a release: for the bake of the new version, or for the `rollout.keep_warm` time of the old one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Literal

from orchestrator.config import Config
from orchestrator.errors import HostError, Interrupted, Locked
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.recover import recover
from orchestrator.watch.bake import Progress, watch_until_stable

# A version whose time ends this soon after a bake is stopped by the command that has watched the bake. Seconds.
_SOON = 1.0


@frozen
class Bake:
    """How a bake ended, or `baking` when the command did not wait; `seconds` is how long the wait took.

    `why` is a note for people: why it was replaced, or why nothing will end it.
    """

    outcome: Literal["stable", "baking", "replaced"]
    until: str | None
    seconds: float | None = None
    why: str = ""


def watch_bake(
    services: Services, config: Config, report: Callable[[Progress], None], *, detach: bool = False
) -> Bake | None:
    """Watches the live version until its bake is over; None when it does not bake. `detach` returns at once.

    Raises:
        DeploymentFailed: it failed its bake and was rolled back.
        Degraded: it failed its bake, and there is no version to roll back to.
        Interrupted: a signal came; the bake continues.
    """
    live = services.live(config.app.name)
    if live is None or not live.baking:
        return None
    if detach:
        return Bake("baking", live.bake_until, why=unwatched(services, config.app.name))
    if config.rollout.bake:
        services.reporter.step(f"watch {live.version} until {live.bake_until}")
    else:
        services.reporter.step(f"watch {live.version} for its first {config.rollout.settle:g} s")
    baked = watch_until_stable(services, config, report)
    if baked is None:
        return None
    if baked.outcome == "stable":
        _stop_previous(services, config.app.name)
    why = baked.why if baked.outcome == "replaced" else ""
    return Bake(baked.outcome, live.bake_until, baked.seconds, why)


def _stop_previous(services: Services, app: str) -> None:
    """Stops the previous version if it was to run no longer than the bake. Otherwise a later command stops it."""
    warm = next((slot for slot in services.ledger.slots(app).values() if slot.state == "warm"), None)
    if warm is None or warm.warm_until is None:
        return
    left = (datetime.fromisoformat(warm.warm_until) - services.wall()).total_seconds()
    if left > _SOON:
        return
    services.sleep(max(0.0, left) + 0.01)
    with suppress(Locked), services.locks.app(app):
        recover(services, app, healing=False)


def unwatched(services: Services, app: str, *, stages: bool = False) -> str:
    """Why nothing ends a bake, or the stages of a canary, that no command watches; empty when a schedule does."""
    what = "a stage" if stages else "the bake"
    try:
        entries = services.scheduler.entries(app)
    except HostError as error:
        return f"cannot tell whether a watchdog is scheduled to end {what}: {error}"
    if any(entry.enabled and entry.state_dir == str(services.state_dir) for entry in entries):
        return ""
    why = f"no watchdog is scheduled, so nothing ends {what} or {'aborts' if stages else 'rolls back'} a bad version"
    return f"{why}; run: deployctl watchdog install"


def wait_until_cold(services: Services, app: str) -> None:
    """Waits until the `rollout.keep_warm` time of the previous version is over, and stops it.

    Raises:
        Interrupted: a signal came; the next command or the watchdog stops the version.
    """
    warm = next((slot for slot in services.ledger.slots(app).values() if slot.state == "warm"), None)
    if warm is None or warm.warm_until is None:
        return
    services.reporter.step(f"{warm.version} stays warm until {warm.warm_until}")
    interrupts = services.interrupts
    # The switch has disarmed signals so that the deployment is completed. Nothing is left to complete.
    interrupts.arm()
    try:
        with interrupts.interruptible():
            left = (datetime.fromisoformat(warm.warm_until) - services.wall()).total_seconds()
            if left > 0:
                services.sleep(left + 0.01)
    except Interrupted:
        why = f"the next command or the watchdog stops {warm.version} after {warm.warm_until}"
        raise interrupts.error(f"the deployment is complete, only the wait has ended; {why}") from None
    with services.locks.app(app):
        recover(services, app)
