"""The traffic by which a version is judged, from the proxy's counters. Reads only."""

from __future__ import annotations

from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.traffic.counted import Reading, Traffic, between, from_json
from orchestrator.domain.traffic.slot import SlotState, other
from orchestrator.errors import ProxyError
from orchestrator.ports.services import Services

# The deployment that made the predecessor live is one of the last.
_RECENT = 50


def traffic(services: Services, app: str, live: SlotState) -> tuple[Traffic, Traffic | None]:
    """The traffic of the live version since its switch, and that of its predecessor before it (None: unknown)."""
    began = _counters(services, live.deployment)
    try:
        now = services.endpoints.counters(app)
    except ProxyError:
        return Traffic(), None  # the state of the proxy is checked elsewhere
    if began is None:
        return Traffic(), None
    deployment = services.ledger.deployment(app, live.deployment)
    before = _put_live_before(services, app, deployment) if deployment else None
    old = None
    if before is not None and (first := _counters(services, before.id)) is not None:
        old = between(first, began, other(live.slot))
    return between(began, now, live.slot), old


def _put_live_before(services: Services, app: str, deployment: Deployment) -> Deployment | None:
    """The deployment that made the version live that `deployment` replaced."""
    for earlier in services.ledger.deployments(app, _RECENT):
        if (
            earlier.id < deployment.id
            and earlier.to_version == deployment.from_version
            and earlier.outcome == "succeeded"
        ):
            return earlier
    return None


def _counters(services: Services, deployment: int) -> Reading | None:
    """The proxy's counters at the switch of a deployment; None when they are not recorded."""
    for step in services.ledger.steps(deployment):
        if step.name == "switch" and step.detail.get("counters"):
            return from_json(step.detail["counters"])
    return None
