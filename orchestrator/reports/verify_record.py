"""The part of verify that needs no engine: manifests, the deltas between them, and stored files. Reads only."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.version.manifest import EMPTY, MODEL, Manifest, apply, delta
from orchestrator.domain.version.version import Version
from orchestrator.errors import DeployctlError
from orchestrator.ports.services import Services

RECORDED = "what was recorded"
# The parent of most versions is the one before them.
_KEPT_MANIFESTS = 4
_NAMED_USERS = 3


@dataclass
class Findings:
    """How many of each kind were checked, and the differences from the ledger. Grows while checks run."""

    checked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    # The number and the digest of the newest event.
    head: tuple[int, str] | None = None


class Manifests:
    """The manifests of versions. Only the last few are kept in memory: each may list tens of thousands of files."""

    def __init__(self, services: Services, versions: Mapping[str, Version]) -> None:
        self._manifests = services.manifests
        self.versions = versions
        self._kept: OrderedDict[str, Manifest | None] = OrderedDict()

    def get(self, name: str) -> Manifest | None:
        """A version's manifest; None when it is missing.

        Raises:
            OperationFailed: it was changed.
        """
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        manifest = self._manifests.load(self.versions[name].manifest)
        self._kept[name] = manifest
        if len(self._kept) > _KEPT_MANIFESTS:
            self._kept.popitem(last=False)
        return manifest

    def intact(self, name: str) -> Manifest | None:
        """The same; None also when it was changed: that is reported once, where manifests are checked."""
        try:
            return self.get(name)
        except DeployctlError:
            return None


def check_manifests(services: Services, app: str, manifests: Manifests, findings: Findings) -> dict[str, list[str]]:
    """Checks manifests, deltas and trees, version by version; returns which files need which stored object."""
    needed: dict[str, list[str]] = {}
    for name, version in manifests.versions.items():
        try:
            manifest = manifests.get(name)
        except DeployctlError as error:
            findings.checked["manifests"] += 1
            findings.problems.append(f"{name}: {error}")
            continue
        findings.checked["manifests"] += 1
        if manifest is None:
            findings.problems.append(f"{name}: its manifest {version.manifest[:19]}… is missing")
            continue
        _check_delta(services, app, name, manifest, manifests, findings)
        if version.pruned_at is not None:
            continue
        model = manifest.below(MODEL)
        for file in model.values():
            users = needed.setdefault(file.digest, [])
            if len(users) < _NAMED_USERS:
                users.append(f"{name} {file.path}")
        if model:
            findings.checked["trees"] += 1
            findings.problems += [f"{name}: {fault}" for fault in services.models.faults(app, name, manifest)]
    return needed


def _check_delta(
    services: Services, app: str, name: str, manifest: Manifest, manifests: Manifests, findings: Findings
) -> None:
    """M_n = M_(n-1) + ΔM_n, with the recorded delta, and every entry of the delta is a change."""
    parent = manifests.versions[name].parent
    above = EMPTY
    if parent is not None and parent in manifests.versions:
        kept = manifests.intact(parent)
        if kept is None:
            return  # reported already; the delta cannot be checked without it
        above = kept
    findings.checked["deltas"] += 1
    try:
        change = services.ledger.delta(app, name)
        exact = change == delta(above, manifest) and apply(above, change) == manifest
    except ValueError:
        exact = False
    if not exact:
        findings.problems.append(f"{name}: its recorded delta to {parent or 'nothing'} is not {RECORDED}")


def check_objects(services: Services, needed: dict[str, list[str]], findings: Findings) -> None:
    """Checks the content of every stored file."""
    for digest, bad in services.models.check(services.progress):
        findings.checked["objects"] += 1
        if bad:
            users = f", which is {', '.join(needed[digest])}" if digest in needed else ""
            findings.problems.append(f"object {digest[:16]}…{users}: {bad}")
