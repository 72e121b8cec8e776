"""The state that use cases and reports decide on: what the ledger records of an app, and what the engine reports."""

from __future__ import annotations

from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import LedgerDamaged, ProxyError
from orchestrator.ports.services import Services


def observe(services: Services, app: str) -> Observed:
    """The current state of an app, from the ledger and the engine. Changes nothing.

    Raises:
        LedgerDamaged: the ledger cannot be used.
        EngineUnreachable: the engine does not answer.
    """
    versions = services.ledger.versions(app)
    return Observed(
        app=app,
        versions=versions,
        slots=services.ledger.slots(app),
        traffic=services.ledger.traffic(app),
        containers=services.workloads.containers(app) if versions or services.ledger.open_deployment(app) else (),
        image_exists=lambda image_id: services.images.find(image_id) is not None,
    )


def refuse_unrecorded(services: Services, observed: Observed) -> None:
    """Checks that an app without a record in the ledger has no containers: the ledger would not be theirs.

    Raises:
        LedgerDamaged: it has containers.
    """
    if observed.versions or observed.containers:
        return
    unrecorded = services.workloads.containers(observed.app)
    if unrecorded:
        why = f"it has no record of {observed.app}, but the container {unrecorded[0].name} exists"
        raise LedgerDamaged(str(services.state_dir / "ledger.db"), why)


def healthy(services: Services, app: str, slot: Slot) -> bool:
    """Whether the proxy has found a replica in a slot up. False when it does not answer."""
    try:
        return any(endpoint.up for endpoint in services.endpoints.health(app, slot))
    except ProxyError:
        return False
