"""The label that records a container's version, and how the state of an app is restored from labels. Pure.

The label contains no values of environment variables and no build arguments, because other users may read labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.slot import Slot, SlotPhase, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.version import Version
from orchestrator.frozen import frozen

_FACTS = ("image", "manifest", "parent", "author", "created_at", "git_commit", "git_dirty", "pushed", "from_image")


@frozen
class Evidence:
    """What the engine knows about one container: its state, its label, its environment, its creation time.

    `created` is UTC in ISO 8601. `app_number` is the number of its app, None when it is not known.
    """

    container: Container
    record: str
    environment: Mapping[str, str]
    created: str
    app_number: int | None = None


@frozen
class Restored:
    """The records of one app for a new ledger. `never_live` are containers that were interrupted before the switch."""

    app: str
    app_number: int
    versions: tuple[Version, ...]
    slots: tuple[SlotState, ...]
    deployments: tuple[Deployment, ...]
    never_live: tuple[Container, ...] = ()
    proxy: ProxyApp | None = None
    traffic: TrafficState = field(default_factory=TrafficState)


def write(version: Version, settings: Mapping[str, Any]) -> str:
    """The label's text. `settings` is the version's stored configuration."""
    kept = {**settings, "environment": {}}
    for section, key in (("run", "env"), ("build", "args")):
        kept[section] = {**kept[section], key: {}}
    facts = {name: getattr(version, name) for name in _FACTS}
    return json.dumps({"version": facts, "settings": kept}, sort_keys=True)


def restore(
    evidence: Iterable[Evidence],
    app: str,
    route: Slot | None,
    app_number: int,
    now: str,
    maintenance: Maintenance | None = None,
) -> Restored:
    """Restores an app's state from its containers. `route` is the slot that gets its requests, None if unknown.

    A container was live when automatic restart is enabled (that is done right before the switch), when it has exited
    (afterwards it is stopped on purpose), or when it runs in the slot of `route`. Versions without containers cannot
    be restored. While the live version is unknown, every running container may be live. `maintenance` is what the proxy
    does now.
    """
    own = [item for item in evidence if item.container.app == app]
    containers = [item.container for item in own]
    once_live = [container for container in containers if _was_live(container, route)]
    live = _live(once_live, route)
    serving = [container for container in containers if (container.version, container.slot) == live]
    # An interrupted deployment is newer than the one that serves; older ones have served before.
    newest = max((container.deployment for container in serving), default=0)
    never_live = tuple(
        container
        for container in containers
        if container not in once_live
        and container not in serving
        and (container.deployment > newest if live else not container.running)
    )
    kept = [item for item in own if item.container not in never_live]
    versions: dict[str, Version] = {}
    for item in sorted(kept, key=lambda each: each.container.deployment):
        versions[item.container.version] = _version(item, now)
    slots = []
    if live is not None:
        version, slot = live
        slots.append(_newest(serving, "ready", now))
        others = [item.container for item in kept if item.container.slot != slot and item.container.version != version]
        if others:
            slots.append(_newest(others, "warm" if any(container.running for container in others) else "cold", now))
    deployments = tuple(_deployment(slot, now) for slot in slots)
    return Restored(
        app=app,
        app_number=app_number,
        versions=tuple(versions.values()),
        slots=tuple(slots),
        deployments=deployments,
        never_live=never_live,
        traffic=TrafficState(live=live[1], maintenance=maintenance) if live else TrafficState(),
    )


def _newest(containers: list[Container], state: SlotPhase, now: str) -> SlotState:
    last = max(containers, key=lambda container: (container.running, container.deployment))
    until = now if state == "warm" else None
    return SlotState(last.app, last.slot, last.version, last.deployment, state, now, until)


def _was_live(container: Container, route: Slot | None) -> bool:
    return container.kept_running or container.state == "exited" or (container.running and container.slot == route)


def _live(containers: list[Container], route: Slot | None) -> tuple[str, Slot] | None:
    if route is not None:
        containers = [container for container in containers if container.slot == route] or containers
    # The live version restarts automatically; a version that was stopped on purpose does not.
    containers = [container for container in containers if container.kept_running] or containers
    if not containers:
        return None
    newest = max(containers, key=lambda container: (container.running, container.deployment))
    return newest.version, newest.slot


def _version(item: Evidence, now: str) -> Version:
    container = item.container
    try:
        data = json.loads(item.record)
        facts, settings = data["version"], data["settings"]
    except (ValueError, KeyError, TypeError):
        # An earlier version of deployctl created it, without this label.
        facts, settings = {}, {}
    if settings:
        settings = {**settings, "environment": dict(item.environment)}
        settings["run"] = {**settings["run"], "env": dict(item.environment)}
    version = Version(
        app=container.app,
        name=container.version,
        image=facts.get("image") or f"{container.app}:{container.version}",
        image_id=container.image_id,
        manifest=facts.get("manifest", ""),
        parent=facts.get("parent"),
        author=facts.get("author") or "unknown",
        created_at=facts.get("created_at") or item.created,
        git_commit=facts.get("git_commit"),
        git_dirty=facts.get("git_dirty"),
        pushed=facts.get("pushed"),
        from_image=facts.get("from_image"),
        settings=settings,
    )
    return replace(version, live_at=item.created, stable_at=item.created)


def _deployment(slot: SlotState, now: str) -> Deployment:
    return Deployment(
        id=slot.deployment,
        app=slot.app,
        kind="release",
        from_version=None,
        to_version=slot.version,
        from_slot=None,
        to_slot=slot.slot,
        mode="create",
        actor="unknown",
        command="",
        started_at=now,
        finished_at=now,
        outcome="succeeded",
        reason="restored from the labels of its containers",
    )
