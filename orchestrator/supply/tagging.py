"""Tags in Git for versions that have become stable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.config import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.domain.version.version import Version
    from orchestrator.ports.progress import Reporter
    from orchestrator.ports.source_control import SourceControl


class TagRecords(Protocol):
    """The part of the ledger that tagging needs."""

    def versions(self, app: str) -> Mapping[str, Version]:
        """All versions by name."""

    def event(self, app: str, kind: str, detail: dict[str, Any]) -> None:
        """Adds an event."""


class TagPorts(Protocol):
    """The ports that tagging needs."""

    @property
    def ledger(self) -> TagRecords:
        """Versions and events."""

    @property
    def source_control(self) -> SourceControl:
        """Writes tags."""

    @property
    def reporter(self) -> Reporter:
        """Reports what was done."""


def tag(ports: TagPorts, config: Config, name: str, since: str) -> None:
    """Tags the commit of a stable version as `app/vN`, if `git.tag` is set. `since` is when it became stable.

    May be repeated. A tag that cannot be written is reported and recorded, but is not an error.
    """
    if not config.git.tag:
        return
    app = config.app.name
    version = ports.ledger.versions(app).get(name)
    if version is None:
        return
    label = f"{app}/{name}"
    if version.git_commit is None or version.git_dirty:
        built = "from changes that are not committed" if version.git_commit else "outside of Git"
        how = f"was made from the image {version.from_image}" if version.from_image else f"was built {built}"
        ports.reporter.note(f"the tag {label} was not written: {name} {how}")
        return
    message = "\n".join(
        [
            f"{app} {name}",
            "",
            f"manifest: {version.manifest}",
            f"stable since: {since}",
            f"released by: {version.author}",
        ]
    )
    written, why = ports.source_control.tag(config, label, version.git_commit, message, version.author)
    detail = {"version": name, "tag": label, "commit": version.git_commit}
    if written:
        ports.reporter.detail(f"tag {label} at {version.git_commit[:10]}")
        ports.ledger.event(app, "tagged", detail)
    elif why:
        ports.reporter.note(f"the tag {label} was not written: {why}")
        ports.ledger.event(app, "tag-failed", {**detail, "why": why})
