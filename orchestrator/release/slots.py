"""What several use cases do with an app's slots and its traffic."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError
from orchestrator.ports.services import Services


def lower_shield(services: Services, app: str) -> None:
    """The other slot answers nothing for the live version any more: in the ledger, on disk and in the proxy.

    The caller holds the proxy's lock. May be repeated.
    """
    state = services.ledger.traffic(app)
    if not state.shield:
        return
    bare = replace(state, shield=False)
    services.ledger.set_traffic(app, bare)
    services.traffic.apply(app, bare)


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
            return  # it reads the ledger's word when it starts
        try:
            services.edge.apply(services.ledger.proxy_apps(), services.progress)
            services.endpoints.park(app, slot)
        except (ProxyError, StorageError) as error:
            services.reporter.note(f"{slot} could not be unregistered from the proxy: {error}")


def note_cold(services: Services, app: str, observed: Observed | None = None) -> bool:
    """Records a warm version as cold when none of its containers runs any more. True: there was one.

    Without a warm version the engine is not asked: its failure may be what a deployment ended with.
    """
    changed = False
    for slot, state in services.ledger.slots(app).items():
        if state.state != "warm":
            continue
        observed = observed or services.observe(app)
        if not any(container.running for container in observed.of(state.version, slot)):
            services.ledger.set_slot(replace(state, state="cold", since=iso(services.wall()), warm_until=None))
            changed = True
    return changed


def free(services: Services, app: str, slot: Slot) -> bool:
    """Whether the traffic on disk does not need a slot."""
    return not services.traffic.on_disk(app).needs(slot)


def live_traffic(slot: Slot, *, shield: bool = False) -> TrafficState:
    """All requests go to `slot`; with `shield` the other one answers what it cannot."""
    return TrafficState(live=slot, shield=shield)
