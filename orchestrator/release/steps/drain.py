"""Drain: waits until the open requests of the old version have finished."""

from __future__ import annotations

import math
from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot, other
from orchestrator.errors import Degraded
from orchestrator.frozen import frozen
from orchestrator.ports.interrupts import Interrupts
from orchestrator.release.open_requests import wait_until_closed
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work
from orchestrator.text import counted

# After a signal, open requests get so many seconds: most requests finish within them, streams do not.
_GRACE = 1.0


@frozen
class Drain(Action):
    """Waits until no request is open on a slot, up to the drain limit. Then open requests are cut and counted.

    Those of a shielded version are not cut: when its containers stop, the version that has the traffic answers them.
    """

    name: ClassVar[str] = "drain"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"let requests on {self.slot} finish"

    def run(self, work: Work) -> Detail:
        services = work.services
        traffic = services.traffic.on_disk(work.app)
        if traffic.share_of(self.slot) and not traffic.held:
            raise Degraded(
                f"refused to drain {self.slot} of {work.app}: it has a share of the traffic",
                hint="nothing was changed; run 'deployctl doctor'",
            )
        started = services.clock()
        left, limit = wait_until_closed(
            services,
            work.app,
            self.slot,
            work.config.proxy.drain,
            f"on {self.version}",
            lambda waited: _shortened(services.interrupts, waited),
        )
        cut = 0
        if left and takes_over(work, self.slot):
            services.reporter.note(f"{counted(left, 'request')} still open on {self.version}")
        elif left:
            cut = services.endpoints.cut(work.app, self.slot)
            shortened = services.interrupts.pending
            when = "when the wait was cut short" if shortened else f"at the drain limit of {limit:g} s"
            services.reporter.note(f"cut {counted(cut, 'request')} on {self.version} {when}")
        return {"seconds": round(services.clock() - started, 3), "cut": cut, "left": left - cut}


def takes_over(work: Work, slot: Slot) -> bool:
    """Whether the version in the other slot answers what is open on this one, when its containers stop."""
    before, now = work.plan.before, work.services.traffic.on_disk(work.app)
    return before.fallback == other(slot) == now.live and not now.held


def _shortened(interrupts: Interrupts, waited: float) -> float:
    """The limit of the wait, which becomes short after a signal."""
    return waited + _GRACE if interrupts.pending else math.inf
