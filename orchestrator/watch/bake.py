"""Watching a version while it bakes: one look every second, and a rollback as soon as it fails.

The lock is held only during a look, so that other commands and the passes of the watchdog need not wait. All of them
decide by the same rules.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from typing import Literal

from orchestrator.config import Config
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.errors import Degraded, DeployctlError, DeploymentFailed, Interrupted, LedgerDamaged, Locked
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.logs import lines_of
from orchestrator.release.recover import at_rest
from orchestrator.text import counted
from orchestrator.watch.follow_up import notify
from orchestrator.watch.passed import LOOK_EVERY, Passed, record_events
from orchestrator.watch.passes import take_look


@frozen
class Baked:
    """How a bake ended: `stable`, or `replaced` by another command. `seconds` is how long the wait took."""

    outcome: Literal["stable", "replaced"]
    seconds: float
    why: str = ""


@frozen
class Progress:
    """The progress of a bake after one look. Times in seconds; `probes` counts all probes so far."""

    elapsed: float
    total: float
    passed: Passed
    probes: int

    def __str__(self) -> str:
        view = self.passed.view
        parts = [f"baking {self.elapsed:.0f} of {self.total:.0f} s", counted(self.probes, "probe")]
        if view is not None:
            parts.append(str(view.new) + (f" (before the switch: {view.old})" if view.old else ""))
        return "; ".join([*parts, *self.passed.seen, *self.passed.waiting, *self.passed.problems])


def watch_until_stable(services: Services, config: Config, report: Callable[[Progress], None]) -> Baked | None:
    """Watches the live version until its bake is over; returns None when it does not bake.

    Raises:
        DeploymentFailed: it failed its bake and was rolled back.
        Degraded: it failed its bake, and cannot be rolled back.
        Interrupted: a signal ended the wait; the bake continues.
        LedgerDamaged: nothing can be decided or recorded.
    """
    looking = looks(services, config, report)
    while True:
        try:
            next(looking)
        except StopIteration as end:
            baked: Baked | None = end.value
            return baked
        services.sleep(LOOK_EVERY)


def looks(
    services: Services, config: Config, report: Callable[[Progress], None]
) -> Generator[None, None, Baked | None]:
    """As `watch_until_stable`, but one look at a time: the caller waits between them."""
    app = config.app.name
    live = services.live(app)
    if live is None or not live.baking:
        return None
    assert live.bake_until is not None
    started = services.clock()
    total = max(0.0, (datetime.fromisoformat(live.bake_until) - services.wall()).total_seconds())
    probes = 0
    while True:
        passed = Passed(app)
        try:
            with services.locks.app(app, looking=True):
                now = services.live(app)
                if now is None or now.deployment != live.deployment:
                    return _ended(services, app, live, services.clock() - started)
                if not now.baking:
                    return Baked("stable", services.clock() - started)
                _look(services, config, now, passed)
        except Locked:
            passed.waiting.append("another command is running")
        except (Interrupted, LedgerDamaged):
            raise
        except DeployctlError as error:
            # The engine may be restarting: the next look tries again.
            passed.problems.append(str(error))
        probes += passed.view.probes if passed.view else 0
        report(Progress(services.clock() - started, total, passed, probes))
        notify(services, config, passed)
        if any(kind == "rolled back" for kind, *_ in passed.events):
            raise DeploymentFailed(
                passed.done[-1],
                hint=f"fix it and release it again; 'deployctl history' has the evidence, and its log: deployctl logs"
                f" {live.version}",
                details=lines_of(services, config, live.version),
            )
        stable = services.live(app)
        if stable is not None and stable.deployment == live.deployment and not stable.baking:
            return Baked("stable", services.clock() - started, passed.done[-1] if passed.done else "")
        if passed.problems and services.clock() - started > total:
            raise Degraded(passed.problems[0], hint="deployctl status")
        if services.interrupts.pending:
            raise _interrupted(services, live)
        yield


def _look(services: Services, config: Config, live: SlotState, passed: Passed) -> None:
    observed = at_rest(services, live.app, healing=False)
    if observed.live is None or observed.live.deployment != live.deployment:
        return  # recovery has finished the interrupted deployment of another command
    passed.memory = services.ledger.memory(live.app)
    before = dict(passed.memory)
    take_look(services, config, observed, live, passed, through_proxy=False)
    passed.new_messages += passed.seen
    record_events(services, passed)
    if passed.memory != before:
        services.ledger.remember(live.app, passed.memory)


def _ended(services: Services, app: str, live: SlotState, seconds: float) -> Baked:
    """How a bake ended because of another command.

    Raises:
        DeploymentFailed: the version failed its bake and was rolled back.
    """
    observed = at_rest(services, app)
    version = observed.versions.get(live.version)
    if version is not None and version.bad_at is not None:
        raise DeploymentFailed(
            f"{live.version} failed its bake and was rolled back", why=version.bad_why, hint="deployctl history"
        )
    now = observed.live.version if observed.live else "nothing"
    return Baked("replaced", seconds, f"another command made {now} live")


def _interrupted(services: Services, live: SlotState) -> Interrupted:
    error = services.interrupts.error(f"{live.version} is live and continues to bake until {live.bake_until}")
    error.hint = "the watchdog ends the bake (deployctl watchdog install, or deployctl watchdog run)"
    return error
