"""Retention: what no kept version needs goes away; the live version and the rollback target never do."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.domain.rollout.plan import Observed
from orchestrator.domain.version.lineage import kept
from orchestrator.errors import OperationFailed
from orchestrator.ports.services import Services
from orchestrator.release.slots import park


@dataclass
class Pruned:
    """What was removed (or would be), by name."""

    versions: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    # Bytes of weights that no kept version needs; None when nothing was really removed.
    freed: int | None = None


def prune(services: Services, app: str, limit: int, *, dry_run: bool = False) -> Pruned:
    """Removes containers, images and snapshots of the versions that retention does not keep.

    The caller holds the app's lock.
    """
    observed = services.observe(app)
    keep = _kept(observed, limit)
    done = Pruned()
    serving = services.proxy.route(app)
    for container in observed.containers:
        stale = container.version not in keep or _left_over(observed, container.version, container.slot)
        if stale and not (container.slot == serving and container.running):
            done.containers.append(container.name)
            if not dry_run:
                services.engine.remove(container)
    for version in observed.versions.values():
        if version.name in keep or version.pruned_at:
            continue
        done.versions.append(version.name)
        if dry_run:
            done.images.append(version.image)
            continue
        if services.engine.remove_image(version.image, version.image_id):
            done.images.append(version.image)
        services.artifacts.drop_snapshot(app, version.name)
        services.ledger.mark_pruned(app, version.name)
        for slot, state in observed.slots.items():
            if state.version == version.name and state.state == "cold":
                park(services, app, slot)
                services.ledger.clear_slot(app, slot)
    if not dry_run:
        for name in keep & observed.versions.keys():
            if observed.versions[name].settings.get("model"):
                services.artifacts.keep(observed.versions[name])
        done.freed = services.artifacts.collect()
        forget_secrets(services, app)
    if not dry_run and (done.versions or done.containers):
        services.ledger.event(app, "pruned", {"versions": done.versions, "containers": done.containers})
    return done


def forget_secrets(services: Services, app: str) -> None:
    """Removes the copies of secrets that no container uses and no way back needs. The app is at rest.

    A version that has been live keeps its newest copy until it is pruned.
    """
    services.secrets.tidy(app)
    kept_copies = services.secrets.kept(app)
    if not kept_copies:
        return
    versions = services.ledger.versions(app)
    idle: list[tuple[str, int]] = []
    for name, copies in kept_copies.items():
        version = versions.get(name)
        stays = version is not None and version.live_at is not None and version.pruned_at is None
        idle += [(name, deployment) for deployment in (sorted(copies)[:-1] if stays else copies)]
    if not idle:
        return
    used = {(container.version, container.deployment) for container in services.engine.containers(app)}
    for name, deployment in idle:
        if (name, deployment) not in used:
            services.secrets.drop(app, name, deployment)


def retain(services: Services, app: str, limit: int) -> None:
    """Retention after a deployment: what cannot be removed now is left to the next time, and said."""
    try:
        done = prune(services, app, limit)
    except OperationFailed as error:
        services.reporter.note(f"old versions could not be removed now: {error}")
        return
    if done.versions:
        services.reporter.note(f"retention removed {', '.join(done.versions)}")


def _kept(observed: Observed, limit: int) -> set[str]:
    live = observed.live.version if observed.live else None
    warm = {slot.version for slot in observed.slots.values() if slot.state in ("warm", "starting")}
    return kept(observed.versions, live, warm, limit)


def _left_over(observed: Observed, version: str, slot: str) -> bool:
    # A version that is live in one slot needs no stopped containers in the other.
    live = observed.live
    return live is not None and live.version == version and live.slot != slot
