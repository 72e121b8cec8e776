"""Drain: waits until the open requests of the old version have finished."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import Degraded
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work

# How long to sleep between two looks, in seconds.
TICK = 0.02
# After a signal, open requests get so many seconds: most requests finish within them, streams do not.
_GRACE = 1.0


@frozen
class Drain(Action):
    """Waits until no request is open on a slot, up to the drain limit. Then open requests are cut and counted.

    `stays`: the slot stays warm, so a signal ends the wait without cutting requests.
    """

    name: ClassVar[str] = "drain"
    version: str
    slot: Slot
    stays: bool = False

    @property
    def words(self) -> str:
        return f"let requests on {self.slot} finish"

    def run(self, work: Work) -> Detail:
        services = work.services
        if services.traffic.on_disk(work.app).share_of(self.slot):
            raise Degraded(
                f"refused to drain {self.slot} of {work.app}: it has a share of the traffic",
                hint="nothing was changed; run 'deployctl doctor'",
            )
        started = services.clock()
        left, limit = self._wait(work, started)
        cut = 0
        pending = services.interrupts.pending
        if left and not (pending and self.stays):
            cut = services.endpoints.cut(work.app, self.slot)
            when = "when the wait was cut short" if pending else f"at the drain limit of {limit:g} s"
            services.reporter.note(f"{cut} request(s) on {self.version} were cut {when}")
        return {"seconds": round(services.clock() - started, 3), "cut": cut, "left": left - cut if left else 0}

    def _wait(self, work: Work, started: float) -> tuple[int, float]:
        """How many requests are still open when the wait ends, and the limit in seconds that ended it."""
        services = work.services
        limit, reported = work.config.proxy.drain, 0.0
        while open_requests := sum(services.endpoints.open_requests(work.app, self.slot).values()):
            waited = services.clock() - started
            if services.interrupts.pending:
                limit = min(limit, 0.0 if self.stays else waited + _GRACE)
            if waited >= limit:
                break
            if waited >= reported + 1:
                reported = waited
                services.reporter.detail(
                    f"{open_requests} request(s) still open on {self.version}, {limit - waited:.0f} s left"
                )
            services.sleep(TICK)
        return open_requests, limit
