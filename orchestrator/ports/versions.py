"""The record of versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.build import Layer
    from orchestrator.domain.version.manifest import Delta
    from orchestrator.domain.version.version import FileChange, Version


class VersionRecords(Protocol):
    """All versions and their states. See `Ledger` for what all records share."""

    def versions(self, app: str) -> Mapping[str, Version]:
        """The app's versions by name, in the order of their creation."""

    def readable_versions(self, app: str) -> dict[str, Version]:
        """The same without those whose record is damaged."""

    def from_image(self, app: str, version: str) -> str | None:
        """The image that a version was made from; None when it was built, or is not recorded."""

    def record_version(self, version: Version, change: Delta | None = None) -> None:
        """Writes or replaces the record of a version; `change` is its delta from its parent, None: unchanged."""

    def record_layers(self, app: str, version: str, layers: Sequence[Layer]) -> None:
        """Writes the layers of a version's image, the lowest first."""

    def layers(self, app: str, version: str) -> list[Layer] | None:
        """The layers of a version's image; None when they were never recorded."""

    def changes(self, app: str, *, version: str | None = None, path: str | None = None) -> list[FileChange]:
        """The changes of one version, or of one path in all versions, in the order of the versions."""

    def delta(self, app: str, version: str) -> Delta:
        """The recorded change of a version's manifest from its parent's.

        Raises:
            ValueError: the record is damaged.
        """

    def parents(self, app: str) -> dict[str, str | None]:
        """Each version's parent, in the order of the versions' creation."""

    def paths(self, app: str) -> list[str]:
        """Every path that was ever in a manifest, sorted."""

    def change_counts(self, app: str) -> dict[str, tuple[int, int]]:
        """For each version the number of files that it added or changed, and the number that it removed."""

    def settings(self, app: str, version: str) -> dict[str, Any]:
        """The stored configuration that a version ran with last.

        Raises:
            UsageError: there is no such version.
        """

    def record_settings(self, app: str, version: str, settings: dict[str, Any]) -> None:
        """Writes the configuration that a version runs with."""

    def mark_live(self, app: str, version: str, *, stable: bool) -> None:
        """Records that a version became live, with `stable` also stable. It is no longer pruned or bad."""

    def mark_stable(self, app: str, version: str) -> None:
        """Records that a version became stable, unless it is stable already."""

    def mark_bad(self, app: str, version: str, why: str) -> None:
        """Marks a version as bad: it was rolled back or aborted automatically. It is no longer stable."""

    def mark_pruned(self, app: str, version: str) -> None:
        """Records that a version's image and containers were removed."""
