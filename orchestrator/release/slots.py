"""Changes of an app's slots and traffic that several use cases share."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ProxyError, StorageError
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe
from orchestrator.release.shields import record_shield


def remove_shield(services: Services, app: str) -> None:
    """Ends the shield of the live version: in the ledger, on disk and in the proxy. May be repeated.

    Sessions that stay on the version before it move to the live one. The caller holds the proxy's lock.
    """
    state = services.ledger.traffic(app)
    if state == state.unshielded:
        return
    record_shield(services, app)
    services.ledger.set_traffic(app, state.unshielded)
    services.traffic.apply(app, state.unshielded)


def end_lost_shield(services: Services, app: str) -> bool:
    """Ends a shield whose fallback does not run any more. True: there was one.

    The same for sessions that stay on a version that does not run any more.
    """
    older = services.ledger.traffic(app).older
    state = services.ledger.slots(app).get(older) if older is not None else None
    if older is None or (state is not None and state.state in ("ready", "warm")):
        return False
    with services.locks.proxy():
        remove_shield(services, app)
    return True


def park(services: Services, app: str, slot: Slot) -> None:
    """Records that a slot is not in use, and unregisters it from the proxy. May be repeated."""
    with services.locks.proxy():
        known = services.ledger.proxy_app(app)
        if known is None or slot not in known.slots:
            return
        if known.slots[slot].active:
            slots = {**known.slots, slot: replace(known.slots[slot], active=False)}
            services.ledger.save_proxy_app(replace(known, slots=slots))
        if services.edge.state() != "running":
            return  # its configuration is written from the ledger when it starts
        try:
            services.edge.apply(services.ledger.proxy_apps(), services.progress)
            services.endpoints.park(app, slot)
        except (ProxyError, StorageError) as error:
            services.reporter.note(f"{slot} could not be unregistered from the proxy: {error}")


def note_cold(services: Services, app: str, observed: Observed | None = None) -> bool:
    """Records a warm version as cold when none of its containers runs any more. True: the record was changed.

    The engine is asked only when there is a warm version: a deployment that failed because the engine does not answer
    must end without it.
    """
    changed = False
    for slot, state in services.ledger.slots(app).items():
        if state.state != "warm":
            continue
        observed = observed or observe(services, app)
        if not any(container.running for container in observed.of(state.version, slot)):
            services.ledger.set_slot(replace(state, state="cold", since=iso(services.wall()), warm_until=None))
            changed = True
    return changed
