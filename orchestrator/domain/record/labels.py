"""What a container says about itself in a label, and what can be put together from that when the ledger is lost.

Pure. The label holds no value of an environment variable and no build argument: others may read labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.slot import Slot, SlotPhase, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.version import Version

_FACTS = ("image", "manifest", "parent", "author", "created_at", "git_commit", "git_dirty", "pushed")


@dataclass(frozen=True)
class Evidence:
    """What one container says of itself: its state, the record in its label, its own environment, its creation time.

    `app_number` is the number of its app, by its address; None when the address does not tell.
    """

    container: Container
    record: str
    environment: Mapping[str, str]
    created: str
    app_number: int | None = None


@dataclass(frozen=True)
class Restored:
    """What the ledger shall say of one app. `unproven` are containers that never got as far as the switch."""

    app: str
    app_number: int
    versions: tuple[Version, ...]
    slots: tuple[SlotState, ...]
    deployments: tuple[Deployment, ...]
    unproven: tuple[Container, ...] = ()
    proxy: ProxyApp | None = None
    traffic: TrafficState = field(default_factory=TrafficState)


def write(version: Version, settings: Mapping[str, Any]) -> str:
    """The label's text. `settings` is the version's stored configuration."""
    kept = {**settings, "environment": {}}
    for section, key in (("run", "env"), ("build", "args")):
        kept[section] = {**kept[section], key: {}}
    facts = {name: getattr(version, name) for name in _FACTS}
    return json.dumps({"version": facts, "settings": kept}, sort_keys=True)


def restore(evidence: Iterable[Evidence], app: str, route: Slot | None, app_number: int, now: str) -> Restored:
    """Puts an app's live state together from its containers. `route` is where its requests go, if that is known.

    What passed its probes is told by the restart policy, which is set right before the switch, by having been
    stopped for good afterwards, or by running where the route points. Versions whose containers are gone cannot
    be found again. Nothing that runs counts as unproven while it is unknown what is live.
    """
    found = [item for item in evidence if item.container.app == app]
    boxes = [item.container for item in found]
    proven = [box for box in boxes if _proven(box, route)]
    live = _live(proven, route)
    serving = [box for box in boxes if (box.version, box.slot) == live]
    # A deployment that was at work is younger than what serves; what is older has served before.
    since = max((box.deployment for box in serving), default=0)
    unproven = tuple(
        box
        for box in boxes
        if box not in proven and box not in serving and (box.deployment > since if live else not box.running)
    )
    kept = [item for item in found if item.container not in unproven]
    versions: dict[str, Version] = {}
    for item in sorted(kept, key=lambda each: each.container.deployment):
        versions[item.container.version] = _version(item, now)
    slots = []
    if live is not None:
        version, slot = live
        slots.append(_newest(serving, "ready", now))
        behind = [item.container for item in kept if item.container.slot != slot and item.container.version != version]
        if behind:
            slots.append(_newest(behind, "warm" if any(box.running for box in behind) else "cold", now))
    deployments = tuple(_deployment(slot, now) for slot in slots)
    return Restored(
        app=app,
        app_number=app_number,
        versions=tuple(versions.values()),
        slots=tuple(slots),
        deployments=deployments,
        unproven=unproven,
        traffic=TrafficState(live=live[1] if live else None),
    )


def _newest(boxes: list[Container], state: SlotPhase, now: str) -> SlotState:
    last = max(boxes, key=lambda box: (box.running, box.deployment))
    until = now if state == "warm" else None
    return SlotState(last.app, last.slot, last.version, last.deployment, state, now, until)


def _proven(box: Container, route: Slot | None) -> bool:
    return box.kept_running or box.state == "exited" or (box.running and box.slot == route)


def _live(boxes: list[Container], route: Slot | None) -> tuple[str, Slot] | None:
    if route is not None:
        boxes = [box for box in boxes if box.slot == route] or boxes
    # What is live is started again by the engine; what was stopped on purpose is not.
    boxes = [box for box in boxes if box.kept_running] or boxes
    if not boxes:
        return None
    best = max(boxes, key=lambda box: (box.running, box.deployment))
    return best.version, best.slot


def _version(item: Evidence, now: str) -> Version:
    box = item.container
    try:
        data = json.loads(item.record)
        facts, settings = data["version"], data["settings"]
    except (ValueError, KeyError, TypeError):
        # Made by a deployctl that did not write this label.
        facts, settings = {}, {}
    if settings:
        settings = {**settings, "environment": dict(item.environment)}
        settings["run"] = {**settings["run"], "env": dict(item.environment)}
    found = Version(
        app=box.app,
        name=box.version,
        image=facts.get("image") or f"{box.app}:{box.version}",
        image_id=box.image_id,
        manifest=facts.get("manifest", ""),
        parent=facts.get("parent"),
        author=facts.get("author") or "unknown",
        created_at=facts.get("created_at") or item.created,
        git_commit=facts.get("git_commit"),
        git_dirty=facts.get("git_dirty"),
        pushed=facts.get("pushed"),
        settings=settings,
    )
    return replace(found, live_at=item.created, stable_at=item.created)


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
