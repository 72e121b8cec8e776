"""Rebuilds a lost ledger from the labels of the containers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.record import labels
from orchestrator.domain.record.labels import Evidence, Restored
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp, SlotEndpoints
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.manifest import EMPTY, Manifest, delta
from orchestrator.errors import ConfigError, EngineError, OperationFailed, UsageError
from orchestrator.ports.services import Services
from orchestrator.release.probes import settled


def rebuild_ledger(services: Services) -> list[str]:
    """Writes a new ledger for all apps of the state folder from the labels of their containers; returns their names.

    An intact ledger that has no record of an app with containers gets one. Containers keep running. The damaged ledger
    is kept next to the new one. Earlier history, and versions without containers, cannot be restored.

    Raises:
        UsageError: the ledger is intact, or there are no containers to rebuild it from.
        Locked: another command works on one of the apps.
    """
    damage = services.ledger.damage()
    evidence = services.access.evidence()
    apps = _apps(services, evidence, damage)
    with ExitStack() as locks:
        for app in apps:
            locks.enter_context(services.locks.app(app))
        with services.locks.proxy():
            states = services.traffic.known()
            restored = []
            for app in apps:
                restored.append(_restore(services, evidence, app, states.get(app, TrafficState())))
            kept_as = None
            if damage:
                kept_as = services.ledger.restore(restored)
            else:
                services.ledger.adopt(restored)
        for each in restored:
            # The event first: a failure from here on must not rebuild the ledger again.
            why = damage or "it had no record of the app"
            services.ledger.event(each.app, "rebuilt", {"why": why, "damaged ledger": kept_as})
            _record_contents(services, each)
            _remove_never_live(services, each)
    return apps


def _apps(services: Services, evidence: Sequence[Evidence], damage: str | None) -> list[str]:
    apps = sorted({item.container.app for item in evidence})
    if damage is None:
        apps = [app for app in apps if not services.ledger.versions(app)]
        if not apps:
            raise UsageError("the ledger is in order: nothing was rebuilt", hint="deployctl recover")
    elif not apps:
        raise UsageError(
            f"the ledger cannot be rebuilt: {damage}",
            why="the engine has no container of this state folder",
            hint="to start over, move the ledger to another folder: no container uses it",
        )
    return apps


def _record_contents(services: Services, restored: Restored) -> None:
    """Records the versions' deltas from the store and the layers of their images from the engine, if they exist."""
    manifests: dict[str, Manifest | None] = {}
    for version in restored.versions:
        try:
            manifests[version.name] = services.manifests.load(version.manifest)
        except OperationFailed as error:
            services.reporter.note(f"{version.name} is recorded without its files: {error}")
    for version in restored.versions:
        manifest = manifests.get(version.name)
        if manifest is not None:
            change = delta(manifests.get(version.parent or "") or EMPTY, manifest)
            services.ledger.record_version(version, change)
        try:
            layers = services.images.layers(version.image_id)
        except OperationFailed as error:
            services.reporter.note(f"{version.name} is recorded without the layers of its image: {error}")
        else:
            services.ledger.record_layers(restored.app, version.name, layers)


def _remove_never_live(services: Services, restored: Restored) -> None:
    for container in restored.never_live:
        try:
            services.workloads.remove(container)
        except EngineError as error:
            services.reporter.note(f"{container.name}, which never passed its probes, was not removed: {error}")


def _restore(services: Services, evidence: Sequence[Evidence], app: str, known: TrafficState) -> Restored:
    """The records of one app; `known` is what the proxy does with its requests."""
    own = [item for item in evidence if item.container.app == app]
    number = next((item.app_number for item in own if item.app_number is not None), 0)
    restored = labels.restore(evidence, app, known.live, number, iso(services.wall()), known.maintenance)
    slots = tuple(
        _with_bake(services, restored, _with_standby(services, restored, slot), own) for slot in restored.slots
    )
    baking = {slot.version for slot in slots if slot.baking}
    versions = tuple(replace(each, stable_at=None) if each.name in baking else each for each in restored.versions)
    proxy = _proxy_app(services, restored, [item.container for item in own])
    return replace(restored, slots=slots, versions=versions, proxy=proxy, traffic=_traffic(restored, known))


def _traffic(restored: Restored, known: TrafficState) -> TrafficState:
    """The traffic, with the shield that the proxy has, if its fallback is warm. A rollout is lost with its record."""
    warm = {slot.slot for slot in restored.slots if slot.state == "warm"}
    if known.candidate is not None or known.live != restored.traffic.live or known.fallback not in warm:
        return restored.traffic
    return replace(restored.traffic, shield=known.shield, patience=known.patience, sessions=known.sessions)


def _settings(restored: Restored, slot: SlotState) -> Config | None:
    """The configuration of a slot's version; None when the label is missing or invalid."""
    version = next(version for version in restored.versions if version.name == slot.version)
    try:
        return Config.from_snapshot(version.settings)
    except ConfigError:
        return None


def _with_standby(services: Services, restored: Restored, slot: SlotState) -> SlotState:
    """The slot with a new `rollout.keep_warm` time, because the record of its beginning is lost."""
    config = _settings(restored, slot)
    if slot.state != "warm" or config is None:
        return slot
    return replace(slot, warm_until=iso(services.wall() + timedelta(seconds=config.rollout.keep_warm)))


def _with_bake(services: Services, restored: Restored, slot: SlotState, own: Sequence[Evidence]) -> SlotState:
    """The live slot with a new bake, when its containers are too young to have come through theirs."""
    config = _settings(restored, slot)
    if slot.state != "ready" or config is None:
        return slot
    bake = timedelta(seconds=config.rollout.bake)
    created = [item.created for item in own if item.container.slot == slot.slot]
    if not created or services.wall() >= datetime.fromisoformat(max(created)) + bake:
        return slot
    return replace(slot, bake_until=iso(services.wall() + bake))


def _proxy_app(services: Services, restored: Restored, containers: Sequence[Container]) -> ProxyApp | None:
    slots: dict[Slot, SlotEndpoints] = {}
    route = None
    for slot in restored.slots:
        config = _settings(restored, slot)
        if config is None:
            continue  # the next release registers the slot again
        here = [c for c in containers if (c.version, c.slot) == (slot.version, slot.slot)]
        addresses = tuple(c.address for c in sorted(here, key=lambda c: c.index))
        probe = settled(services, config.probe_spec(), next(filter(None, addresses), ""))
        slots[slot.slot] = SlotEndpoints(slot.version, addresses, probe, active=slot.state != "cold", port=config.port)
        if slot.state == "ready":
            route = config.route()
    return ProxyApp(restored.app, route, slots) if route is not None else None
