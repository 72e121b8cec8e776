"""How a drill ended, and the last drill of a version. Reads only."""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.record.drill import newest_drill
from orchestrator.domain.rollout.deployment import Outcome
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services

_RECENT = 500


@frozen
class DrillReport:
    """A drill that has succeeded: how a rollback to `version` would go, and how many seconds until its switch.

    `mode`: `switch`, `start`, `pull` or `rebuild`. `preview` is the address where the version was asked, null: it was
    only probed. `left`: the version is still `warm`, or it is `stopped`, and its containers are kept.
    """

    app: str
    outcome: Literal["succeeded"]
    version: str
    live: str
    slot: str
    mode: str
    seconds: float
    preview: str | None
    left: Literal["warm", "stopped"]
    deployment: int
    notes: tuple[str, ...] = ()


@frozen
class LastDrill:
    """The newest drill of a version. `mode` is how it came back then, `seconds` null when that failed."""

    at: str
    outcome: Outcome
    mode: str
    seconds: float | None


def last_drill(services: Services, app: str, version: str) -> LastDrill | None:
    """The newest drill of a version among the last events; None: there is none, or it was long ago."""
    found = newest_drill(services.ledger.newest_events(app, _RECENT), version)
    if found is None:
        return None
    at, detail = found
    return LastDrill(at, detail.get("outcome", "failed"), str(detail.get("mode", "")), detail.get("seconds"))
