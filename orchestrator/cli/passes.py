"""`watchdog run`: passes over one app or all of them, once or again and again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.frame import Frame, frame
from orchestrator.errors import Degraded, Interrupted, UsageError

if TYPE_CHECKING:
    from orchestrator.adapters.posix.interrupts import Interrupts
    from orchestrator.ports.services import Services
    from orchestrator.watch.passes import Passed

_SIDE_BY_SIDE = 12


class _Silent:
    """The reporter of a pass: what cron would mail every minute is said by nobody."""

    def step(self, text: str) -> None:
        return

    detail = note = step


def run(
    context: typer.Context,
    every_app: Annotated[bool, typer.Option("--all", help="Every app of the state folder, side by side.")] = False,
    loop: Annotated[
        str | None, typer.Option("--loop", help="Again and again, with this time between two beginnings: 10s.")
    ] = None,
) -> None:
    """Look at the live version once, heal what died, finish what crashed, roll back what cannot be healed.

    Made for cron: silent when all is well, one message for each change. Ends with 4 when a person must act.

    Examples: deployctl watchdog run; deployctl watchdog run --all --loop 10s
    """
    own = frame(context)
    with own.guarded():
        period = _period(loop)
        interrupts = own.interrupts()
        services = own.services(reporter=_Silent(), interrupts=interrupts)
        while True:
            began = services.clock()
            passes = _passes(own, services, interrupts, every_app=every_app)
            _tell(own, passes)
            if period is None:
                break
            _pause(services, interrupts, period - (services.clock() - began))
        if any(passed.outcome in ("degraded", "failed") for passed in passes):
            raise typer.Exit(Degraded.exit_code)


def _period(loop: str | None) -> float | None:
    if loop is None:
        return None
    from orchestrator.config import seconds

    found = seconds(loop, "--loop")
    if found < 1:
        raise UsageError(f"--loop: {loop} is too short", hint="a pass takes a second: --loop 10s")
    return found


def _pause(services: Services, interrupts: Interrupts, seconds: float) -> None:
    # A pass that had to be carried to its end has set signals aside: now they count again.
    interrupts.arm()
    try:
        with interrupts.interruptible():
            services.sleep(max(0.0, seconds))
    except Interrupted:
        raise interrupts.error("no more passes; the last one was carried to its end") from None


def _passes(own: Frame, services: Services, interrupts: Interrupts, *, every_app: bool) -> list[Passed]:
    from orchestrator.watch import passes as watchdog

    if not every_app:
        return [_one(services, watchdog.app_of(services, own.file))]
    apps = services.ledger.apps()
    if len(apps) == 1:
        return [_one(services, apps[0])]
    from concurrent.futures import ThreadPoolExecutor

    def one(app: str) -> Passed:
        # Neither the ledger's connection nor the engine's is for several threads.
        mine = own.services(reporter=_Silent(), interrupts=interrupts)
        try:
            return _one(mine, app)
        finally:
            mine.ledger.close()

    with ThreadPoolExecutor(max(1, min(_SIDE_BY_SIDE, len(apps)))) as pool:
        return list(pool.map(one, apps))


def _one(services: Services, app: str) -> Passed:
    from orchestrator.watch import passes as watchdog

    passed = watchdog.run(services, app)
    watchdog.aftermath(services, passed)
    return passed


def _tell(own: Frame, passes: list[Passed]) -> None:
    if own.json:
        own.console.data({"schema_version": 1, "passes": [_document(passed) for passed in passes]})
        return
    watching = sys.stdout.isatty() and not own.quiet
    for passed in passes:
        for text in passed.news:
            own.console.print(f"{passed.app}: {text}")
        if watching and not passed.news:
            rest = "; ".join([*passed.problems, *passed.waiting])
            version = f" {passed.version}" if passed.version else ""
            own.console.print(f"{passed.app}{version}: {passed.outcome}" + (f" ({rest})" if rest else ""))
    sys.stdout.flush()


def _document(passed: Passed) -> dict[str, Any]:
    return {
        "app": passed.app,
        "outcome": passed.outcome,
        "version": passed.version,
        "done": passed.done,
        "problems": passed.problems,
        "waiting": passed.waiting,
        "seconds": round(passed.seconds, 3),
    }
