"""What the shield of a live version has done: which of its failures its predecessor answered.

The proxy counts it. When the shield ends it is recorded, for the history. The shield of a candidate is part of its
rollout's evidence instead.
"""

from __future__ import annotations

from orchestrator.domain.record.chain import read_detail
from orchestrator.domain.traffic.shield import Shielded
from orchestrator.ports.services import Services
from orchestrator.release.evidence import traffic

KIND = "shield"
"""The kind of the event that records a shield which has ended."""


def shield(services: Services, app: str) -> Shielded | None:
    """The shield of the live version; None without one, and while there is a candidate.

    Its figures are 0 when the proxy does not answer.
    """
    state, live = services.ledger.traffic(app), services.live(app)
    fallback = services.ledger.slots(app).get(state.fallback) if state.fallback is not None else None
    if live is None or fallback is None or state.candidate is not None:
        return None
    seen, _ = traffic(services, app, live)
    return Shielded(live.version, fallback.version, live.deployment, seen.rescued, seen.lost)


def record_shield(services: Services, app: str) -> None:
    """Records the shield of the live version, which ends now, unless that version has failed no request.

    May be repeated: of several records of a deployment, the last one counts.
    """
    found = shield(services, app)
    if found is not None and (found.rescued or found.lost):
        services.ledger.event(app, KIND, found.to_json())


def recorded_shields(services: Services, app: str) -> dict[int, Shielded]:
    """The shields that have ended, by the deployment that made their version live."""
    rows = (Shielded.from_json(read_detail(event.detail)) for event in services.ledger.events_of(app, KIND))
    return {each.deployment: each for each in rows if each is not None}
