"""Retire: keeps the previous version warm, stops it, or removes its containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar, Literal

from orchestrator.domain.moments import iso
from orchestrator.domain.traffic.counted import Reading, between
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen
from orchestrator.release.slots import park
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.drain import takes_over
from orchestrator.release.steps.stop import Stop
from orchestrator.release.work import Detail, Work
from orchestrator.text import counted

# How long the other version may take to answer what was open, in seconds, before what is left is counted as cut.
_TAKE_OVER = 5.0
_TICK = 0.05

How = Literal["keep warm", "stop", "remove"]


@frozen
class Retire(Action):
    """Keeps a version warm for `keep_warm` seconds, stops it, or removes its containers."""

    name: ClassVar[str] = "retire"
    version: str
    slot: Slot
    how: How
    keep_warm: float = 0.0

    @property
    def words(self) -> str:
        if self.how == "keep warm":
            return f"keep {self.version} running in {self.slot}, ready for a rollback"
        return f"{self.how} {self.version} in {self.slot}"

    @property
    def takes(self) -> Slot | None:
        return None if self.how == "keep warm" else self.slot

    def run(self, work: Work) -> Detail:
        services = work.services
        if self.how == "keep warm":
            until = iso(services.wall() + timedelta(seconds=self.keep_warm))
            work.record_slot(self.slot, self.version, "warm", work.placed_by(self.slot), warm_until=until)
            return {"warm_until": until}
        park(services, work.app, self.slot)
        if self.how == "stop":
            with taking_over(work, self.slot, self.version):
                return Stop(self.version, self.slot).run(work)
        for container in work.in_slot(self.slot):
            if container.version == self.version:
                services.workloads.remove(container)
        services.ledger.clear_slot(work.app, self.slot)
        return {}


@contextmanager
def taking_over(work: Work, slot: Slot, version: str) -> Iterator[None]:
    """Reports what became of the requests that were open on a shielded version whose containers stop."""
    before = _open_and_counted(work, slot) if takes_over(work, slot) else None
    yield
    if before is None:
        return
    services, started = work.services, work.services.clock()
    try:
        while sum(services.endpoints.open_requests(work.app, slot).values()):
            if services.clock() - started > _TAKE_OVER:
                services.endpoints.cut(work.app, slot)
                break
            services.sleep(_TICK)
        seen = between(before, services.endpoints.counters(work.app), slot)
    except ProxyError as error:
        services.reporter.note(f"what became of the open requests of {version} is not known: {error}")
        return
    plan = work.plan
    other = plan.from_version if version == plan.to_version else plan.to_version
    answered = f"{counted(seen.rescued, 'request')} of {version} answered by {other}"
    services.reporter.note(f"{answered} when it was stopped, {seen.lost} cut")


def _open_and_counted(work: Work, slot: Slot) -> Reading | None:
    """The counters of the proxy while requests are open on a slot; None when there are none."""
    endpoints = work.services.endpoints
    try:
        return endpoints.counters(work.app) if sum(endpoints.open_requests(work.app, slot).values()) else None
    except ProxyError:
        return None  # nothing is open at a proxy that does not run
