"""Verify: holds what is there against what was recorded: the chain of events, manifests, stored files, images,
containers, and the files that running containers really see. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.core import chain
from orchestrator.core.manifest import EMPTY, MODEL, Manifest, delta
from orchestrator.core.model import Container, FileChange, Version
from orchestrator.deploy.services import Services
from orchestrator.errors import DeployctlError, EngineError

_RECORDED = "what was recorded"


@dataclass
class Proof:
    """What was looked at, how many of each, and what is not as it was recorded, in words."""

    checked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    # The newest event: its number, and the digest that stands for all before it.
    head: tuple[int, str] | None = None


def verify(services: Services, app: str) -> Proof:
    """Checks an app, and what it shares with the state folder's other apps: the chain and the store.

    Raises:
        LedgerDamaged: the ledger cannot be read at all.
    """
    found = Proof()
    services.reporter.step("check the chain of events")
    _chain(services, found)
    services.reporter.step("check the manifests and the deltas between them")
    manifests = _manifests(services, app, found)
    services.reporter.step("check the stored files")
    _objects(services, app, manifests, found)
    services.reporter.step("check images and containers")
    try:
        _images(services, app, found)
        _containers(services, app, manifests, found)
    except EngineError as error:
        found.problems.append(f"images and containers could not be checked: {error}")
    return found


def _chain(services: Services, found: Proof) -> None:
    if damage := services.ledger.damage():
        found.problems.append(f"the ledger is damaged: {damage}")
    events = services.ledger.events()
    found.checked["events"] = len(events)
    found.head = (events[-1].id, events[-1].digest) if events else None
    found.problems += chain.breaks(events)
    found.problems += services.ledger.unsealed()


def _manifests(services: Services, app: str, found: Proof) -> dict[str, Manifest]:
    """The manifests that are what their versions say."""
    versions = services.ledger.versions(app)
    good: dict[str, Manifest] = {}
    for name, version in versions.items():
        found.checked["manifests"] += 1
        try:
            manifest = services.artifacts.known(version.context)
        except DeployctlError as error:
            found.problems.append(f"{name}: {error}")
            continue
        if manifest is None:
            found.problems.append(f"{name}: its manifest {version.context[:19]}… is not there")
        else:
            good[name] = manifest
    for name, manifest in good.items():
        parent = versions[name].parent
        if parent is not None and parent in versions and parent not in good:
            continue  # said above; without it nobody can tell
        change = delta(good.get(parent or "", EMPTY), manifest)
        wanted = {FileChange(name, path, None, None, None, None) for path in change.gone}
        wanted |= {FileChange(name, f.path, f.kind, f.mode, f.size, f.digest) for f in change.put}
        found.checked["deltas"] += 1
        if wanted != set(services.ledger.changes(app, version=name)):
            found.problems.append(f"{name}: its recorded delta to {parent or 'nothing'} is not {_RECORDED}")
    return good


def _objects(services: Services, app: str, manifests: dict[str, Manifest], found: Proof) -> None:
    needed: dict[str, list[str]] = {}
    versions = services.ledger.versions(app)
    for name, manifest in manifests.items():
        if versions[name].pruned_at is None:
            for file in manifest.below(MODEL).values():
                needed.setdefault(file.digest, []).append(f"{name} {file.path}")
    for digest, bad in services.artifacts.check_objects(services.reporter.detail):
        found.checked["objects"] += 1
        if bad:
            users = f", which is {', '.join(needed[digest][:3])}" if digest in needed else ""
            found.problems.append(f"object {digest[:16]}…{users}: {bad}")
    for name, manifest in manifests.items():
        if versions[name].pruned_at is None and manifest.below(MODEL):
            found.checked["trees"] += 1
            found.problems += [f"{name}: {fault}" for fault in services.artifacts.tree_faults(app, name, manifest)]


def _images(services: Services, app: str, found: Proof) -> None:
    for name, version in services.ledger.versions(app).items():
        if version.pruned_at is not None:
            continue
        found.checked["images"] += 1
        labels = services.engine.image_labels(version.image_id)
        if labels is None:
            found.problems.append(f"{name}: its image {version.image_id[:19]}… is gone from the engine")
            continue
        found.problems += [f"{name}: its image {fault}" for fault in _mislabelled(version, labels)]
        tagged = services.engine.image_id(version.image)
        if tagged != version.image_id:
            has = f"is {tagged[:19]}…" if tagged else "is gone"
            found.problems.append(f"{name}: the tag {version.image} {has}, recorded is {version.image_id[:19]}…")


def _containers(services: Services, app: str, manifests: dict[str, Manifest], found: Proof) -> None:
    versions = services.ledger.versions(app)
    for container in services.engine.containers(app):
        found.checked["containers"] += 1
        version = versions.get(container.version)
        if version is None:
            found.problems.append(f"{container.name} says that it is {container.version}, which no record knows")
            continue
        labels = services.engine.container_labels(container)
        found.problems += [f"{container.name} {fault}" for fault in _mislabelled(version, labels)]
        if container.image_id != version.image_id:
            found.problems.append(f"{container.name} was made from image {container.image_id[:19]}…, not {_RECORDED}")
        if container.running and container.version in manifests:
            for fault in _seen(services, container, version, manifests[container.version], found):
                found.problems.append(f"{container.name} {fault}")


def _mislabelled(version: Version, labels: dict[str, str]) -> Iterator[str]:
    for key, wanted in (("app", version.app), ("version", version.name), ("manifest", version.context)):
        has = labels.get(f"deployctl.{key}")
        if has != wanted:
            yield f"has the label deployctl.{key} {has!r}, recorded is {wanted!r}"


def _seen(
    services: Services, container: Container, version: Version, manifest: Manifest, found: Proof
) -> Iterator[str]:
    """What a running container sees of its weights that is not in its manifest."""
    wanted = {path: file.digest for path, file in manifest.below(MODEL).items()}
    model = version.snapshot.get("model")
    if not wanted or not model:
        return
    mount = str(model["mount"])
    seen = services.engine.files_in(container, mount)
    found.checked["files in containers"] += len(seen)
    for path in sorted(wanted.keys() | seen.keys()):
        if path not in seen:
            yield f"does not see {mount}/{path}"
        elif path not in wanted:
            yield f"sees {mount}/{path}, which is in no manifest"
        elif seen[path] != wanted[path]:
            yield f"sees another {mount}/{path} than {_RECORDED}"
