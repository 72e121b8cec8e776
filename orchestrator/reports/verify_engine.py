"""The part of verify that uses the engine and the proxy: slots, images, containers and their files. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.config import Config
from orchestrator.domain import naming
from orchestrator.domain.record.chain import plain
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.domain.version.build import Image
from orchestrator.domain.version.manifest import MODEL
from orchestrator.domain.version.version import Version
from orchestrator.errors import DeployctlError, EngineError, LedgerDamaged, ProxyError
from orchestrator.ports.services import Services
from orchestrator.release.workloads import workload_spec
from orchestrator.reports.verify_record import RECORDED, Findings, Manifests
from orchestrator.reports.wrong_addresses import wrong_addresses
from orchestrator.text import counted

# What reading a damaged record raises.
_DAMAGED = (LedgerDamaged, ValueError, KeyError, TypeError)


def check_slots(services: Services, app: str, findings: Findings) -> None:
    """Compares the live version in the ledger with the route on disk and with the engine."""
    try:
        slots = services.ledger.slots(app)
        traffic = services.ledger.traffic(app)
        known = services.ledger.proxy_app(app)
    except _DAMAGED as error:
        findings.problems.append(f"the record of the slots or of the app's route is damaged: {error}")
        return
    findings.checked["slots"] += len(slots)
    live = slots.get(traffic.live) if traffic.live else None
    try:
        route = services.traffic.on_disk(app).live
    except ProxyError as error:
        findings.problems.append(str(error))
    else:
        if route != (live.slot if live else None):
            says = f"says that {live.version} is live in {live.slot}" if live else "says that nothing is live"
            findings.problems.append(f"the route on disk leads to {route or 'nothing'}, the ledger {says}")
    findings.problems += _running_route(services, app, live)
    if live is None:
        return
    everything = services.workloads.containers(app)
    containers = [each for each in everything if (each.version, each.slot) == (live.version, live.slot)]
    findings.problems += _wrong_route(services, app, live, known, containers)
    findings.problems += wrong_addresses(services, app, everything, services.edge.state())
    wanted = max(1, len(known.slots[live.slot].addresses) if known and live.slot in known.slots else 1)
    if len(containers) < wanted:
        findings.problems.append(
            f"{live.version} is live in {live.slot} with {len(containers)} of {counted(wanted, 'container')}"
        )


def _running_route(services: Services, app: str, live: SlotState | None) -> Iterator[str]:
    """Where the running proxy sends requests elsewhere than the ledger says, and which of its files were changed."""
    try:
        changed = services.edge.changed_files(services.ledger.proxy_apps())
    except (RuntimeError, *_DAMAGED) as error:
        yield f"the proxy's files cannot be compared with the record of its apps, which is damaged: {error}"
        return
    for name in changed:
        yield f"the proxy's file {name} is not what deployctl writes; next: deployctl recover"
    if services.edge.state() != "running":
        return
    try:
        route = services.traffic.running(app).live
    except ProxyError as error:
        yield f"the route of the running proxy could not be checked: {error}"
        return
    if live is not None and route != live.slot:
        yield f"the running proxy sends requests to {route or 'nothing'}, the ledger says that {live.slot} is live"


def _wrong_route(
    services: Services, app: str, live: SlotState, known: ProxyApp | None, containers: Sequence[Container]
) -> Iterator[str]:
    """What differs between the record of what the proxy knows and the settings of the live version.

    `containers` are those of the live version.
    """
    if known is None:
        yield "the record of the app's route is missing"
        return
    config = _settings(services, app, live.version)
    if config is None:
        return  # reported with the containers
    wanted, found = config.route(), known.route
    for key in ("listen", "hosts", "path_prefix", "strip_prefix", "timeout", "metrics"):
        if getattr(wanted, key) != getattr(found, key):
            yield (
                f"the record of the app's route has {key} {plain(str(getattr(found, key)))}, and the settings of"
                f" {live.version} have {plain(str(getattr(wanted, key)))}"
            )
    slot = known.slots.get(live.slot)
    if slot is None:
        yield f"the record of the app's route has no addresses of {live.slot}"
        return
    if slot.version != live.version:
        yield f"the record of the app's route has {plain(slot.version)} in {live.slot}, not {live.version}"
    probe = config.probe_spec()
    if slot.probe.path not in probe.paths or slot.probe != probe.at(slot.probe.path):
        yield f"the record of the app's route has another health check than the settings of {live.version}"
    if strange := sorted({each.address for each in containers if each.address} - set(slot.addresses)):
        yield f"the record of the app's route does not have {', '.join(strange)}, where {live.version} runs"


def _live(services: Services, app: str) -> SlotState | None:
    try:
        return services.live(app)
    except _DAMAGED:
        return None  # reported with the slots


def _settings(services: Services, app: str, version: str) -> Config | None:
    """The settings that a version ran with last; None when their record is damaged."""
    try:
        return Config.from_snapshot(services.ledger.settings(app, version))
    except (DeployctlError, *_DAMAGED):
        return None


def check_images(services: Services, manifests: Manifests, findings: Findings) -> None:
    """Checks that each kept version's image is there, with its labels and its tag."""
    for name, version in manifests.versions.items():
        if version.pruned_at is not None:
            continue
        findings.checked["images"] += 1
        image = services.images.find(version.image_id)
        if image is None:
            findings.problems.append(f"{name}: its image {version.image_id[:19]}… is missing on the engine")
            continue
        # An image that was not built here has no labels of deployctl.
        faults = _wrong_labels(version, image.labels) if version.from_image is None else ()
        findings.problems += [f"{name}: its image {fault}" for fault in faults]
        tagged = services.images.find(version.image)
        if (tagged is None or tagged.id != version.image_id) and not _elsewhere(services, tagged):
            has = f"is {tagged.id[:19]}…" if tagged else "is missing"
            findings.problems.append(f"{name}: the tag {version.image} {has}, recorded is {version.image_id[:19]}…")


def _elsewhere(services: Services, image: Image | None) -> bool:
    """Whether another state folder on this engine made the image: its app of the same name has the same tags."""
    own = services.names.state_id
    return image is not None and image.labels.get(naming.LABEL_STATE, own) != own


def check_containers(services: Services, app: str, manifests: Manifests, findings: Findings, *, rebuilt: bool) -> None:
    """Checks each container's image, labels, settings and model files.

    `rebuilt`: the ledger may not know its deployment.
    """
    placed = services.ledger.placements(app)
    live = _live(services, app)
    for container in services.workloads.containers(app):
        findings.checked["containers"] += 1
        version = manifests.versions.get(container.version)
        if version is None:
            findings.problems.append(f"{container.name} has the version {container.version}, which is not recorded")
            continue
        if container.image_id != version.image_id:
            findings.problems.append(f"{container.name} was made from image {container.image_id[:19]}…, not {RECORDED}")
        try:
            faults = [
                *_wrong_labels(version, container.labels),
                *_wrong_place(services, container, placed, rebuilt=rebuilt),
                *_wrong_settings(services, container, version, live),
                *_wrong_files(services, container, version, manifests, findings),
            ]
        except EngineError as error:
            if services.workloads.inspect(container.id) is None:
                continue  # removed meanwhile: a missing container of the live version is reported elsewhere
            faults = [f"could not be inspected: {error}"]
        is_live = live is not None and (live.version, live.slot) == (container.version, container.slot)
        if is_live and not container.kept_running:
            faults.append("has no automatic restart")
        if is_live and container.detached:
            faults.append("is not connected to its network")
        findings.problems += [f"{container.name} {fault}" for fault in faults]


def _wrong_labels(version: Version, labels: Mapping[str, str]) -> Iterator[str]:
    wanted = {
        naming.LABEL_APP: version.app,
        naming.LABEL_VERSION: version.name,
        naming.LABEL_MANIFEST: version.manifest,
    }
    yield from _differing(labels, wanted)


def _differing(labels: Mapping[str, str], wanted: dict[str, str]) -> Iterator[str]:
    for key, value in wanted.items():
        if labels.get(key) != value:
            yield f"has the label {key} {labels.get(key)!r}, recorded is {value!r}"


def _wrong_place(
    services: Services,
    container: Container,
    placed: Mapping[int, tuple[str, str]],
    *,
    rebuilt: bool,
) -> Iterator[str]:
    """What is wrong with the labels that say which replica of which slot it is, and which deployment created it."""
    wanted = {
        naming.LABEL_STATE: services.names.state_id,
        naming.LABEL_SLOT: container.slot,
        naming.LABEL_INDEX: str(container.index),
    }
    yield from _differing(container.labels, wanted)
    name = services.names.container(container.app, container.version, container.slot, container.index)
    if container.name != name:
        yield f"has the labels of {name}"
    made_by = placed.get(container.deployment)
    if made_by is None:
        if not rebuilt:
            yield f"has the label {naming.LABEL_DEPLOYMENT} {container.deployment}, which is not recorded"
    elif made_by != (container.version, container.slot):
        yield (
            f"has the label {naming.LABEL_DEPLOYMENT} {container.deployment}, which by the record put"
            f" {plain(made_by[0])} into {plain(made_by[1])}"
        )


def _wrong_settings(services: Services, container: Container, version: Version, live: SlotState | None) -> list[str]:
    """What differs from what is created of the recorded settings."""
    config = _settings(services, version.app, version.name)
    if config is None:
        return ["cannot be compared with its settings: their record is damaged"]
    is_live = live is not None and (live.version, live.slot) == (container.version, container.slot)
    # A container of an earlier deployment of the version may have the settings of then.
    if not is_live and container.labels.get(naming.LABEL_CONFIG) != config.run_digest():
        return []
    spec = workload_spec(services, config, version, container.slot, container.index, container.deployment)
    return services.workloads.differences(container, spec)


def _wrong_files(
    services: Services, container: Container, version: Version, manifests: Manifests, findings: Findings
) -> Iterator[str]:
    """The differences between the model files in a running container and its manifest."""
    model = version.settings.get("model")
    manifest = manifests.intact(version.name) if container.running and model else None
    wanted = (
        {path: file.digest for path, file in manifest.below(MODEL).items() if file.kind != "folder"} if manifest else {}
    )
    if not wanted or not model:
        return
    mount = str(model["mount"])
    seen = services.access.files_in(container, mount)
    findings.checked["files in containers"] += len(seen)
    for path in sorted(wanted.keys() | seen.keys()):
        if path not in seen:
            yield f"does not see {mount}/{path}"
        elif path not in wanted:
            yield f"sees {mount}/{path}, which is in no manifest"
        elif seen[path] != wanted[path]:
            yield f"sees another {mount}/{path} than {RECORDED}"
