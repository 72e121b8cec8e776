"""The differences between two versions: files, tensors, settings, image layers, commits. Reads only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from orchestrator.config import Config
from orchestrator.domain.version import settings
from orchestrator.domain.version.manifest import File, Manifest, delta, new_bytes
from orchestrator.domain.version.tensors import Limit, TensorChange
from orchestrator.domain.version.version import Commit, Version
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services

Change = Literal["added", "removed", "changed"]
TENSOR_SECONDS = 60.0
"""How long the comparison of tensors may take altogether, in seconds, unless another time is given."""


@frozen
class FileDifference:
    """A file that differs. Sizes in bytes; None on the side where there is no file."""

    path: str
    change: Change
    size_before: int | None
    digest_before: str | None
    mode_before: str | None
    size_after: int | None
    digest_after: str | None
    mode_after: str | None


@frozen
class DiffSummary:
    """How many files differ, how large both versions are, and the bytes of contents that only the second one has."""

    added: int
    removed: int
    changed: int
    bytes_before: int
    bytes_after: int
    new_bytes: int


@frozen
class TensorFile:
    """The tensors of one file that differ. `note` says what could not be compared, and why.

    `limit` is the limit that was reached: that of time, or that of the size of a header or of a tensor.
    """

    path: str
    tensors: tuple[TensorChange, ...]
    note: str | None
    limit: Limit | None = None


@frozen
class SettingChange:
    """A setting that differs: None where there is none, `(hidden)` where it may be secret."""

    key: str
    before: Any
    after: Any


@frozen
class LayerReport:
    """A layer of an image. `size` in bytes."""

    digest: str
    size: int


@frozen
class ImageDifference:
    """The layers that both images have, in figures, and those that only the second one has."""

    shared_layers: int
    shared_bytes: int
    new_layers: tuple[LayerReport, ...]
    new_bytes: int


@frozen
class CommitRange:
    """The commits of both versions and those between them, newest first; None when Git cannot tell.

    `dirty`: the second version was built from changes to its commit.
    """

    before: str | None
    after: str | None
    dirty: bool
    between: tuple[Commit, ...] | None


@frozen
class DiffReport:
    """The differences between two versions. Values that may be secret are hidden."""

    app: str
    from_: str
    to: str
    manifest_before: str
    manifest_after: str
    files: tuple[FileDifference, ...]
    summary: DiffSummary
    tensors: tuple[TensorFile, ...]
    build: tuple[SettingChange, ...]
    settings: tuple[SettingChange, ...]
    image: ImageDifference | None
    commits: CommitRange


def compare(
    services: Services, config: Config, before: str, after: str, *, seconds: float = TENSOR_SECONDS
) -> DiffReport:
    """The differences between two versions. The comparison of tensors ends after `seconds`, all files together.

    Raises:
        UsageError: there is no such version, or its manifest was never stored.
        OperationFailed: a stored manifest was changed.
    """
    old, new = (version_of(services, config.app.name, name) for name in (before, after))
    one, two = (manifest_of(services, version) for version in (old, new))
    report = _difference(services, config, old, new, one, two)
    return replace(report, tensors=_tensors(services, one, two, seconds))


def upcoming(services: Services, config: Config, live: str, new: Version, manifest: Manifest) -> DiffReport:
    """The differences between the live version, as it runs, and one that may not be recorded yet. Without tensors.

    Raises:
        UsageError: the manifest of the live version was never stored.
        OperationFailed: the manifest of the live version was changed.
    """
    old = version_of(services, config.app.name, live)
    old = replace(old, settings=services.ledger.settings(old.app, old.name))
    return _difference(services, config, old, new, manifest_of(services, old), manifest)


def _difference(
    services: Services, config: Config, old: Version, new: Version, one: Manifest, two: Manifest
) -> DiffReport:
    files = tuple(_file(path, one.files.get(path), two.files.get(path)) for path in _changed(one, two))
    return DiffReport(
        app=config.app.name,
        from_=old.name,
        to=new.name,
        manifest_before=one.digest,
        manifest_after=two.digest,
        files=files,
        summary=_summary(files, one, two),
        tensors=(),
        build=_settings(settings.changes(one.build, two.build)),
        settings=_settings(settings.changes(old.settings, new.settings)),
        image=layers(services, config.app.name, old.name, new.name),
        commits=_commits(services, config, old, new),
    )


def version_of(services: Services, app: str, name: str) -> Version:
    """A version by its name.

    Raises:
        UsageError: there is none.
    """
    versions = services.ledger.versions(app)
    if name not in versions:
        known = list(versions)
        shown = ", ".join(known[-10:]) or "none yet"
        more = f" and {len(known) - 10} older" if len(known) > 10 else ""
        raise UsageError(
            f"there is no version {name} of {app}",
            why=f"the versions are: {shown}{more}",
            hint="list all versions: deployctl tree",
        )
    return versions[name]


def manifest_of(services: Services, version: Version) -> Manifest:
    """A version's manifest.

    Raises:
        UsageError: the manifest was never stored.
        StorageError: the stored manifest was changed.
    """
    manifest = services.manifests.load(version.manifest)
    if manifest is None:
        raise UsageError(
            f"the manifest of {version.name} is missing",
            why="it was removed from the store, or the ledger was rebuilt without it",
            hint="check what else is missing: deployctl verify",
        )
    return manifest


def _changed(one: Manifest, two: Manifest) -> list[str]:
    change = delta(one, two)
    return sorted([*change.removed, *(file.path for file in change.changed)])


def _file(path: str, before: File | None, after: File | None) -> FileDifference:
    return FileDifference(
        path=path,
        change="added" if before is None else "removed" if after is None else "changed",
        size_before=before.size if before else None,
        digest_before=before.digest if before else None,
        mode_before=before.mode if before else None,
        size_after=after.size if after else None,
        digest_after=after.digest if after else None,
        mode_after=after.mode if after else None,
    )


def _summary(files: tuple[FileDifference, ...], one: Manifest, two: Manifest) -> DiffSummary:
    changes = [file.change for file in files]
    return DiffSummary(
        added=changes.count("added"),
        removed=changes.count("removed"),
        changed=changes.count("changed"),
        bytes_before=one.size,
        bytes_after=two.size,
        new_bytes=new_bytes(one, two),
    )


def _settings(changes: list[dict[str, Any]]) -> tuple[SettingChange, ...]:
    return tuple(SettingChange(change["key"], change["before"], change["after"]) for change in changes)


def _tensors(services: Services, one: Manifest, two: Manifest, seconds: float) -> tuple[TensorFile, ...]:
    """The tensors that differ, by file.

    Each file gets an equal share of the time that is left, the small ones first: no file can take the time of another.
    """
    both = ((one.files[path], two.files[path]) for path in one.files.keys() & two.files.keys())
    pairs = [
        (before, after)
        for before, after in both
        if before.kind == after.kind == "file"
        and before.digest != after.digest
        and services.tensors.readable(after.path)
    ]
    pairs.sort(key=lambda pair: (pair[0].size + pair[1].size, pair[1].path))
    end = services.clock() + seconds
    rows = []
    for index, (before, after) in enumerate(pairs):
        share = max(0.0, end - services.clock()) / (len(pairs) - index)
        found = services.tensors.compare(before, after, share)
        if found.tensors or found.note is not None:
            rows.append(TensorFile(after.path, found.tensors, found.note, found.limit))
    return tuple(sorted(rows, key=lambda row: row.path))


def layers(services: Services, app: str, before: str, after: str) -> ImageDifference | None:
    """The layers of an image, compared with those of another one; None when they were not recorded."""
    old, new = services.ledger.layers(app, before), services.ledger.layers(app, after)
    if old is None or new is None:
        return None
    known = {layer.digest for layer in old}
    added = tuple(LayerReport(layer.digest, layer.size) for layer in new if layer.digest not in known)
    shared = [layer.size for layer in new if layer.digest in known]
    return ImageDifference(len(shared), sum(shared), added, sum(layer.size for layer in added))


def _commits(services: Services, config: Config, old: Version, new: Version) -> CommitRange:
    between = None
    if old.git_commit and new.git_commit:
        between = services.source_control.commits(config.base, old.git_commit, new.git_commit)
    return CommitRange(
        before=old.git_commit,
        after=new.git_commit,
        dirty=bool(new.git_dirty),
        between=None if between is None else tuple(between),
    )
