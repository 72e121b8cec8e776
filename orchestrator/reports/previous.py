"""How a rollback would go, as `status` reports it."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.way_back import way_back
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.observe import healthy
from orchestrator.reports.drill import LastDrill, last_drill
from orchestrator.reports.estimate import estimate


@frozen
class RollbackEstimate:
    """How a rollback would go. `mode`: `switch`, `start`, `pull`, `rebuild` or `gone`; `seconds` None: unknown.

    `drill` is the newest drill of the version, if there was one.
    """

    mode: str
    seconds: float | None
    containers_kept: bool
    drill: LastDrill | None = None


@frozen
class PreviousVersion:
    """The version that a rollback would make live. `warm_until` is when it will be stopped, if it runs."""

    version: str
    slot: Slot
    rollback: RollbackEstimate
    warm_until: str | None


def previous_version(services: Services, observed: Observed) -> PreviousVersion | None:
    """The version that a rollback would make live; None: there is none."""
    back = way_back(observed)
    if back is None:
        return None
    slot = observed.slots.get(back.slot)
    until = slot.warm_until if slot and slot.version == back.version else None
    if (
        back.mode == "switch"
        and until is not None
        and until <= iso(services.wall())
        and not _spared(services, observed)
    ):
        # The rollback, like every command, stops it first.
        back, until = replace(back, mode="start"), None
    return PreviousVersion(
        version=back.version,
        slot=back.slot,
        rollback=RollbackEstimate(
            back.mode,
            estimate(services, observed.app, back),
            back.kept,
            last_drill(services, observed.app, back.version),
        ),
        warm_until=until,
    )


def _spared(services: Services, observed: Observed) -> bool:
    """Whether a warm version is not stopped yet after `rollout.keep_warm`: its successor bakes, or is not healthy."""
    live = observed.live
    return live is not None and (live.baking or not healthy(services, observed.app, live.slot))
