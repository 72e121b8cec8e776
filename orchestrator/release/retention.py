"""Retention: removes old versions; never the live version or its rollback target."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.version.lineage import kept
from orchestrator.domain.version.version import Version
from orchestrator.errors import OperationFailed
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe
from orchestrator.release.slots import park
from orchestrator.supply.model_files import protect


@dataclass
class Pruned:
    """The names of what was, or with a dry run would be, removed. `freed`: bytes of model files; None in a dry run."""

    versions: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    freed: int | None = None


def prune(services: Services, app: str, limit: int, *, dry_run: bool = False, last: bool = False) -> Pruned:
    """Removes containers, images and model files of the versions that retention does not keep.

    `limit` versions are kept, and those that are live, warm, or the rollback target: see `kept`; with `last` also the
    one that was stopped last. The caller holds the app's lock.
    """
    observed = observe(services, app)
    keep = _kept(observed, limit, services.ledger.left_by_rollback(app), last=last)
    pruned = Pruned()
    for container in _superfluous(services, observed, keep):
        pruned.containers.append(container.name)
        if not dry_run:
            services.workloads.remove(container)
    for version in observed.versions.values():
        if version.name in keep or version.pruned_at:
            continue
        pruned.versions.append(version.name)
        if dry_run or services.images.remove(version.image, version.image_id):
            pruned.images.append(version.image)
        if not dry_run:
            _remove(services, observed, version)
    if dry_run:
        return pruned
    for name in keep & observed.versions.keys():
        if observed.versions[name].settings.get("model"):
            # `collect` removes files that no folder links to: folders that are lost are restored first.
            protect(services, observed.versions[name])
    pruned.freed = services.models.collect()
    forget_secrets(services, app)
    if pruned.versions or pruned.containers:
        services.ledger.event(app, "pruned", {"versions": pruned.versions, "containers": pruned.containers})
    return pruned


def retain(services: Services, app: str, limit: int) -> None:
    """Prunes after a deployment. A failure is reported; the next deployment tries again.

    What it has stopped is kept until the next one: somebody wants to read its log.
    """
    try:
        pruned = prune(services, app, limit, last=True)
    except OperationFailed as error:
        services.reporter.note(f"old versions could not be removed: {error}")
        return
    if pruned.versions:
        services.reporter.note(f"retention removed {', '.join(pruned.versions)}")


def forget_secrets(services: Services, app: str) -> None:
    """Removes the copies of secrets that no container uses and no rollback needs. No deployment may be open.

    A version that has been live keeps its newest copy until it is pruned.
    """
    services.secrets.tidy(app)
    copies = services.secrets.kept(app)
    if not copies:
        return
    versions = services.ledger.versions(app)
    unneeded: list[tuple[str, int]] = []
    for name, deployments in copies.items():
        version = versions.get(name)
        stays = version is not None and version.live_at is not None and version.pruned_at is None
        unneeded += [(name, deployment) for deployment in (sorted(deployments)[:-1] if stays else deployments)]
    if not unneeded:
        return
    used = {(container.version, container.deployment) for container in services.workloads.containers(app)}
    for name, deployment in unneeded:
        if (name, deployment) not in used:
            services.secrets.drop(app, name, deployment)


def _kept(observed: Observed, limit: int, rolled_back: set[str], *, last: bool) -> set[str]:
    live = observed.live.version if observed.live else None
    in_use = {slot.version for slot in observed.slots.values() if last or slot.state != "cold"}
    return kept(observed.versions, live, in_use, limit, rolled_back=rolled_back)


def _superfluous(services: Services, observed: Observed, keep: set[str]) -> list[Container]:
    """The containers of versions that are not kept, and those of the live version in the other slot.

    A running container in a slot that the traffic needs is never one of them.
    """
    live = observed.live
    needed = services.traffic.on_disk(observed.app).needs
    return [
        container
        for container in observed.containers
        if (
            container.version not in keep
            or (live is not None and live.version == container.version and live.slot != container.slot)
        )
        and not (container.running and needed(container.slot))
    ]


def _remove(services: Services, observed: Observed, version: Version) -> None:
    services.models.drop(observed.app, version.name)
    services.ledger.mark_pruned(observed.app, version.name)
    for slot, state in observed.slots.items():
        if state.version == version.name and state.state == "cold":
            park(services, observed.app, slot)
            services.ledger.clear_slot(observed.app, slot)
