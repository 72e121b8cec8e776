"""Verify: holds what is there against what was recorded: the chain of events, manifests, stored files, slots, images,
containers, and the files that running containers really see. Reads only."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.domain import naming
from orchestrator.domain.record.chain import plain, without_manifest
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.version.manifest import EMPTY, MODEL, Manifest, apply, delta
from orchestrator.domain.version.version import Version
from orchestrator.errors import DeployctlError, EngineError, LedgerDamaged, Locked, ProxyError
from orchestrator.ports.services import Services

_RECORDED = "what was recorded"
_TRIES = 3
# How long it waits for another command's end before it looks again.
_PATIENCE, _AGAIN = 20.0, 0.2
# Most versions' parents were made a short time before them.
_KEPT_MANIFESTS = 4
_NAMED_USERS = 3


@dataclass
class Proof:
    """What was looked at, how many of each, and what is not as it was recorded, in words."""

    checked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    # The newest event: its number, and the digest that stands for all before it.
    head: tuple[int, str] | None = None


def verify(services: Services, app: str) -> Proof:
    """Checks an app, and what it shares with the state folder's other apps: the chain and the store.

    Other commands may be at work meanwhile: what is found then counts only when it is found again at rest.

    Raises:
        LedgerDamaged: the ledger cannot be read at all.
        Locked: there was no rest, and what is amiss may be another command's work.
    """
    for _ in range(_TRIES):
        at_work = _await_rest(services)
        before = services.ledger.head()
        found, certain = _look(services, app)
        at_work = at_work or _at_work(services)
        if not found.problems or (at_work is None and services.ledger.head() == before):
            return found
        services.reporter.note("another command was at work meanwhile: what seems to be amiss is looked at again")
    if certain:
        # The ledger was read at one moment: what is wrong in it is wrong whoever is at work.
        found.problems = [*certain, "the rest could not be told apart from the work of other commands"]
        return found
    raise Locked(
        "what was recorded cannot be told apart from what other commands are doing",
        why=f"'{at_work.get('command', 'unknown')}' is at work" if at_work else "one has just ended",
        hint="verify again when they have ended",
    )


def _at_work(services: Services) -> dict[str, object] | None:
    """Who holds the lock of any app: they share the store and the chain."""
    return next((holder for app in services.ledger.apps() if (holder := services.locks.holder(app)) is not None), None)


def _await_rest(services: Services) -> dict[str, object] | None:
    """Waits a while for the end of other commands; returns the one that has not ended by then."""
    limit = services.clock() + _PATIENCE
    while (holder := _at_work(services)) is not None and services.clock() < limit:
        services.sleep(_AGAIN)
    return holder


def _look(services: Services, app: str) -> tuple[Proof, list[str]]:
    """One look at everything; also those problems that no other command can have made."""
    found = Proof()
    services.reporter.step("check the chain of events")
    if damage := services.ledger.damage(thorough=True):
        found.problems.append(f"the ledger is damaged: {damage}")
    events, wrong = services.ledger.audit()
    found.checked["events"] = len(events)
    found.head = (events[-1].id, events[-1].digest) if events else None
    found.problems += wrong
    certain = list(found.problems)
    versions = services.ledger.readable_versions(app)
    manifests = _Manifests(services, versions, without_manifest(events, app))
    services.reporter.step("check the manifests and the deltas between them")
    needed = _manifests(services, app, manifests, found)
    services.reporter.step("check the stored files")
    _objects(services, needed, found)
    services.reporter.step("check slots, images and containers")
    try:
        _slots(services, app, found)
        _images(services, manifests, found)
        # A ledger that was put together again does not know all deployments that made what is there.
        rebuilt = any(event.kind == "rebuilt" and event.app == app for event in events)
        _containers(services, app, manifests, found, rebuilt=rebuilt)
    except EngineError as error:
        found.problems.append(f"images and containers could not be checked: {error}")
    return found, certain


class _Manifests:
    """The manifests of versions; only the last few are held, for each may list tens of thousands of files."""

    def __init__(self, services: Services, versions: Mapping[str, Version], without: set[str]) -> None:
        self._artifacts = services.artifacts
        self.versions = versions
        # Versions that are older than manifests.
        self.without = without
        self._kept: OrderedDict[str, Manifest | None] = OrderedDict()

    def get(self, name: str) -> Manifest | None:
        """A version's manifest; None when it is not there.

        Raises:
            DeploymentFailed: it was changed.
        """
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        found = self._artifacts.known(self.versions[name].manifest)
        self._kept[name] = found
        if len(self._kept) > _KEPT_MANIFESTS:
            self._kept.popitem(last=False)
        return found

    def sound(self, name: str) -> Manifest | None:
        """The same; None as well when it was changed: that is told once, where manifests are checked."""
        try:
            return self.get(name)
        except DeployctlError:
            return None


def _manifests(services: Services, app: str, manifests: _Manifests, found: Proof) -> dict[str, list[str]]:
    """Checks manifests, deltas and trees, version by version; returns who needs which stored file."""
    needed: dict[str, list[str]] = {}
    for name, version in manifests.versions.items():
        try:
            manifest = manifests.get(name)
        except DeployctlError as error:
            found.checked["manifests"] += 1
            found.problems.append(f"{name}: {error}")
            continue
        if manifest is None and name in manifests.without:
            found.checked["without a manifest"] += 1
            continue
        found.checked["manifests"] += 1
        if manifest is None:
            found.problems.append(f"{name}: its manifest {version.manifest[:19]}… is not there")
            continue
        _delta(services, app, name, manifest, manifests, found)
        if version.pruned_at is not None:
            continue
        model = manifest.below(MODEL)
        for file in model.values():
            users = needed.setdefault(file.digest, [])
            if len(users) < _NAMED_USERS:
                users.append(f"{name} {file.path}")
        if model:
            found.checked["trees"] += 1
            found.problems += [f"{name}: {fault}" for fault in services.artifacts.tree_faults(app, name, manifest)]
    return needed


def _delta(services: Services, app: str, name: str, manifest: Manifest, manifests: _Manifests, found: Proof) -> None:
    """M_n = M_(n-1) + ΔM_n, with the delta that the ledger has, and nothing in it that is no change."""
    parent = manifests.versions[name].parent
    above = EMPTY
    if parent is not None and parent in manifests.versions and parent not in manifests.without:
        kept = manifests.sound(parent)
        if kept is None:
            return  # said above; without it nobody can tell
        above = kept
    found.checked["deltas"] += 1
    try:
        change = services.ledger.delta(app, name)
        exact = change == delta(above, manifest) and apply(above, change) == manifest
    except ValueError:
        exact = False
    if not exact:
        found.problems.append(f"{name}: its recorded delta to {parent or 'nothing'} is not {_RECORDED}")


def _objects(services: Services, needed: dict[str, list[str]], found: Proof) -> None:
    for digest, bad in services.artifacts.check_objects(services.reporter.detail):
        found.checked["objects"] += 1
        if bad:
            users = f", which is {', '.join(needed[digest])}" if digest in needed else ""
            found.problems.append(f"object {digest[:16]}…{users}: {bad}")


def _slots(services: Services, app: str, found: Proof) -> None:
    """What is live by the ledger, by the route on disk, and on the engine."""
    try:
        slots = services.ledger.slots(app)
        known = services.ledger.proxy_app(app)
    except (LedgerDamaged, ValueError, KeyError, TypeError) as error:
        found.problems.append(f"the record of the slots, or of what the proxy knows of them, is damaged: {error}")
        return
    found.checked["slots"] += len(slots)
    live = next((slot for slot in slots.values() if slot.state == "live"), None)
    try:
        route = services.proxy.route(app)
    except ProxyError as error:
        found.problems.append(str(error))
    else:
        if route != (live.slot if live else None):
            says = f"says that {live.version} is live in {live.slot}" if live else "says that nothing is live"
            found.problems.append(f"the route on disk leads to {route or 'nothing'}, the ledger {says}")
    if live is None:
        return
    count = max(1, len(known.slots[live.slot].addresses) if known and live.slot in known.slots else 1)
    boxes = [box for box in services.engine.containers(app) if (box.version, box.slot) == (live.version, live.slot)]
    if len(boxes) < count:
        found.problems.append(f"{live.version} is live in {live.slot} with {len(boxes)} of {count} container(s)")


def _images(services: Services, manifests: _Manifests, found: Proof) -> None:
    for name, version in manifests.versions.items():
        if version.pruned_at is not None:
            continue
        found.checked["images"] += 1
        labels = services.engine.image_labels(version.image_id)
        if labels is None:
            found.problems.append(f"{name}: its image {version.image_id[:19]}… is gone from the engine")
            continue
        faults = _mislabelled(version, labels, manifest=name not in manifests.without)
        found.problems += [f"{name}: its image {fault}" for fault in faults]
        tagged = services.engine.image_id(version.image)
        if tagged != version.image_id and not _elsewhere(services, tagged):
            has = f"is {tagged[:19]}…" if tagged else "is gone"
            found.problems.append(f"{name}: the tag {version.image} {has}, recorded is {version.image_id[:19]}…")


def _elsewhere(services: Services, image_id: str | None) -> bool:
    """True for an image that another state folder on this engine made: its app of the same name has the same tags."""
    labels = services.engine.image_labels(image_id) if image_id else None
    return (labels or {}).get(naming.LABEL_STATE, services.names.state_id) != services.names.state_id


def _containers(services: Services, app: str, manifests: _Manifests, found: Proof, *, rebuilt: bool) -> None:
    placed = services.ledger.placements(app)
    for container in services.engine.containers(app):
        found.checked["containers"] += 1
        version = manifests.versions.get(container.version)
        if version is None:
            found.problems.append(f"{container.name} says that it is {container.version}, which no record knows")
            continue
        if container.image_id != version.image_id:
            found.problems.append(f"{container.name} was made from image {container.image_id[:19]}…, not {_RECORDED}")
        try:
            labels = services.engine.container_labels(container)
            faults = [
                *_mislabelled(version, labels, manifest=container.version not in manifests.without),
                *_misplaced(services, container, labels, placed, rebuilt=rebuilt),
                *_seen(services, container, version, manifests, found),
            ]
        except EngineError as error:
            now = services.engine.inspect(container.id)
            if now is None:
                continue  # it was removed meanwhile: if it should be there, the live version is short of it
            faults = [f"could not be looked into: {error}"]
        found.problems += [f"{container.name} {fault}" for fault in faults]


def _mislabelled(version: Version, labels: dict[str, str], *, manifest: bool) -> Iterator[str]:
    wanted = {naming.LABEL_APP: version.app, naming.LABEL_VERSION: version.name}
    if manifest:
        wanted[naming.LABEL_MANIFEST] = version.manifest
    yield from _differing(labels, wanted)


def _differing(labels: dict[str, str], wanted: dict[str, str]) -> Iterator[str]:
    for key, value in wanted.items():
        if labels.get(key) != value:
            yield f"has the label {key} {labels.get(key)!r}, recorded is {value!r}"


def _misplaced(
    services: Services,
    container: Container,
    labels: dict[str, str],
    placed: Mapping[int, tuple[str, str]],
    *,
    rebuilt: bool,
) -> Iterator[str]:
    """What is wrong with the labels that say which replica of which slot it is, and who made it."""
    wanted = {
        naming.LABEL_STATE: services.names.state_id,
        naming.LABEL_SLOT: container.slot,
        naming.LABEL_INDEX: str(container.index),
    }
    yield from _differing(labels, wanted)
    name = services.names.container(container.app, container.version, container.slot, container.index)
    if container.name != name:
        yield f"has the labels of {name}"
    made_by = placed.get(container.deployment)
    if made_by is None:
        if not rebuilt:
            yield f"has the label {naming.LABEL_DEPLOYMENT} {container.deployment}, which no record knows"
    elif made_by != (container.version, container.slot):
        yield (
            f"has the label {naming.LABEL_DEPLOYMENT} {container.deployment}, which by the record put"
            f" {plain(made_by[0])} into {plain(made_by[1])}"
        )


def _seen(
    services: Services, container: Container, version: Version, manifests: _Manifests, found: Proof
) -> Iterator[str]:
    """What a running container sees of its weights that is not in its manifest."""
    model = version.settings.get("model")
    manifest = manifests.sound(version.name) if container.running and model else None
    wanted = {path: file.digest for path, file in manifest.below(MODEL).items()} if manifest else {}
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
