"""The record of versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.build import Layer
    from orchestrator.domain.version.manifest import Delta
    from orchestrator.domain.version.version import FileChange, Version


class VersionRecords(Protocol):
    """Which versions there are and what has become of each. See `Ledger` for what holds of all records."""

    def versions(self, app: str) -> Mapping[str, Version]:
        """The app's versions by name, in the order in which they were made."""

    def readable_versions(self, app: str) -> dict[str, Version]:
        """The same without those whose record is damaged."""

    def record_version(self, version: Version, change: Delta | None = None) -> None:
        """Writes a version, or replaces its record; `change` is its delta to its parent, when that is new."""

    def record_layers(self, app: str, version: str, layers: Sequence[Layer]) -> None:
        """Writes the layers of a version's image, the lowest first."""

    def layers(self, app: str, version: str) -> list[Layer] | None:
        """The layers of a version's image; None when they were never recorded."""

    def changes(self, app: str, *, version: str | None = None, path: str | None = None) -> list[FileChange]:
        """What changed in one version, or of one path in all versions, in the order of the versions."""

    def delta(self, app: str, version: str) -> Delta:
        """The recorded change of a version's manifest from its parent's.

        Raises:
            ValueError: the record is damaged.
        """

    def parents(self, app: str) -> dict[str, str | None]:
        """Each version's parent, in the order in which the versions were made."""

    def paths(self, app: str) -> list[str]:
        """Every path that was ever in a manifest, sorted."""

    def change_counts(self, app: str) -> dict[str, tuple[int, int]]:
        """For each version how many files it added or changed, and how many it removed."""

    def settings(self, app: str, version: str) -> dict[str, Any]:
        """The stored configuration that a version ran with last.

        Raises:
            UsageError: there is no such version.
        """

    def record_settings(self, app: str, version: str, settings: dict[str, Any]) -> None:
        """Writes the configuration that a version runs with."""

    def mark_live(self, app: str, version: str, *, stable: bool) -> None:
        """Records that a version has become live (and stable); it is neither pruned nor bad any more."""

    def mark_stable(self, app: str, version: str) -> None:
        """Records that a version is stable, unless it was before."""

    def mark_bad(self, app: str, version: str, why: str) -> None:
        """Records that a version went bad while it was live; it is not stable any more."""

    def mark_pruned(self, app: str, version: str) -> None:
        """Records that a version's image and containers were removed."""
