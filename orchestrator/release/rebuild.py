"""The ledger is lost: puts the live state together again from what the containers say about themselves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.naming import address, block_of
from orchestrator.domain.record import labels as record
from orchestrator.domain.record.labels import Evidence, Restored
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp, SlotEndpoints
from orchestrator.domain.traffic.slot import Slot, SlotState, other
from orchestrator.domain.version.manifest import EMPTY, Manifest, delta
from orchestrator.errors import ConfigError, EngineError, OperationFailed, UsageError
from orchestrator.ports.services import Services


def rebuild_ledger(services: Services) -> list[str]:
    """Writes a new ledger from the labels of the state folder's containers, for all its apps; returns their names.

    A ledger that is in order, but has never heard of an app whose containers are there, is completed.

    Containers go on as they are. The damaged ledger is kept beside the new one. History before this moment,
    and versions whose containers are gone, cannot be found again.

    Raises:
        UsageError: the ledger is in order, or there is nothing to rebuild it from.
        Locked: a command is at work on one of the apps.
    """
    damage = services.ledger.damage()
    evidence = services.engine.evidence()
    apps = sorted({item.container.app for item in evidence})
    if damage is None:
        apps = [app for app in apps if not services.ledger.versions(app)]
        if not apps:
            raise UsageError("the ledger is in order: nothing was rebuilt", hint="deployctl recover")
    elif not apps:
        raise UsageError(
            f"the ledger cannot be rebuilt: {damage}",
            why="no container of this state folder is left on the engine",
            hint="to begin anew, move the ledger away: nothing of it is in use",
        )
    with ExitStack() as locks:
        for app in apps:
            locks.enter_context(services.locks.app(app))
        with services.locks.proxy():
            subnet = services.engine.ensure_network()
            routes = services.proxy.known_routes()
            found = [_restore(services, evidence, app, routes.get(app), subnet) for app in apps]
            kept_as = None
            if damage:
                kept_as = services.ledger.restore(found)
            else:
                services.ledger.adopt(found)
        for restored in found:
            # The event first: whatever fails from here on, nobody rebuilds a ledger twice.
            why = damage or "it knew nothing of the app"
            services.ledger.event(restored.app, "rebuilt", {"why": why, "damaged ledger": kept_as})
            _record_again(services, restored)
            for container in restored.unproven:
                try:
                    services.engine.remove(container)
                except EngineError as error:
                    services.reporter.note(f"{container.name} stays, and was never proven: {error}")
    return apps


def _record_again(services: Services, found: Restored) -> None:
    """What the store and the engine still know of the versions: their deltas, and their images' layers."""
    known: dict[str, Manifest | None] = {}
    for version in found.versions:
        try:
            known[version.name] = services.artifacts.known(version.manifest)
        except OperationFailed as error:
            services.reporter.note(f"{version.name} is recorded without its files: {error}")
    for version in found.versions:
        manifest = known.get(version.name)
        if manifest is not None:
            services.ledger.record_version(version, delta(known.get(version.parent or "") or EMPTY, manifest))
        try:
            layers = services.engine.layers(version.image_id)
        except OperationFailed as error:
            services.reporter.note(f"{version.name} is recorded without the layers of its image: {error}")
        else:
            services.ledger.record_layers(found.app, version.name, layers)


def _restore(services: Services, evidence: Sequence[Evidence], app: str, route: Slot | None, subnet: str) -> Restored:
    blocks = [block_of(subnet, item.container.address) for item in evidence if item.container.app == app]
    block = next((number for number in blocks if number is not None), 0)
    found = record.restore(evidence, app, route, block, iso(services.wall()))
    slots = tuple(_warm_again(services, found, slot) for slot in found.slots)
    return replace(found, slots=slots, proxy=_proxy_app(found, [item.container for item in evidence], subnet))


def _settings(found: Restored, slot: SlotState) -> Config | None:
    """What a slot's version ran with; None when the label is missing, or was written by hand."""
    version = next(version for version in found.versions if version.name == slot.version)
    try:
        return Config.from_snapshot(version.settings)
    except ConfigError:
        return None


def _warm_again(services: Services, found: Restored, slot: SlotState) -> SlotState:
    """Since when it has been warm is lost: its time begins anew."""
    config = _settings(found, slot)
    if slot.state != "warm" or config is None:
        return slot
    return replace(slot, warm_until=iso(services.wall() + timedelta(seconds=config.rollout.keep_warm)))


def _proxy_app(found: Restored, boxes: Sequence[Container], subnet: str) -> ProxyApp | None:
    slots: dict[Slot, SlotEndpoints] = {}
    route = None
    for slot in found.slots:
        config = _settings(found, slot)
        if config is None:
            continue  # the next release makes the slot anew
        here = [box for box in boxes if (box.app, box.version, box.slot) == (found.app, slot.version, slot.slot)]
        addresses = tuple(box.address for box in sorted(here, key=lambda box: box.index))
        slots[slot.slot] = SlotEndpoints(slot.version, addresses, config.probe_spec(), active=slot.state != "cold")
        if slot.state == "live":
            route = config.route()
            away = other(slot.slot)
            spare = tuple(address(subnet, found.block, away, index) for index in range(1, len(addresses) + 1))
            slots.setdefault(away, SlotEndpoints("none", spare, config.probe_spec()))
    return ProxyApp(found.app, route, slots) if route is not None else None
