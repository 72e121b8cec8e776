"""Which version was live at which time, and who made it live. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise

from orchestrator.domain.moments import iso
from orchestrator.domain.record.chain import Switch
from orchestrator.domain.rollout.deployment import Kind
from orchestrator.domain.version.version import Version
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services


@frozen
class LivePeriod:
    """A period in which a version was live. `until` is None while it is live."""

    slot: str
    deployment: int
    since: str
    until: str | None


@frozen
class LiveRecord:
    """A version that was live, who made it live, and what it is made of."""

    version: str
    slot: str
    since: str
    until: str | None
    deployment: int
    kind: Kind | None
    actor: str | None
    reason: str | None
    manifest: str | None
    image_id: str | None
    git_commit: str | None
    git_dirty: bool | None
    author: str | None
    from_image: str | None


@frozen
class WhoWasLiveReport:
    """The versions that were live at a moment or in a span of time, oldest first."""

    app: str
    from_: str
    to: str
    live: tuple[LiveRecord, ...]


def who_was_live(services: Services, app: str, start: datetime, end: datetime) -> WhoWasLiveReport:
    """The versions that were live from `start` to `end`, both included, oldest first."""
    first, last = iso(start), iso(end)
    versions = services.ledger.versions(app)
    records = tuple(
        _record(services, app, switch, until, versions)
        for switch, until in _spans(services, app)
        if switch.since <= last and (until is None or until > first)
    )
    return WhoWasLiveReport(app, first, last, records)


def live_periods(services: Services, app: str, version: str) -> tuple[LivePeriod, ...]:
    """When one version was live, oldest first."""
    return tuple(
        LivePeriod(switch.slot, switch.deployment, switch.since, until)
        for switch, until in _spans(services, app)
        if switch.version == version
    )


def _spans(services: Services, app: str) -> list[tuple[Switch, str | None]]:
    """Each switch, and the time of the next one."""
    neighbours = pairwise([*services.ledger.switches(app), None])
    return [(switch, following.since if following else None) for switch, following in neighbours if switch is not None]


def _record(
    services: Services, app: str, switch: Switch, until: str | None, versions: Mapping[str, Version]
) -> LiveRecord:
    version = versions.get(switch.version)
    deployment = services.ledger.deployment(app, switch.deployment)
    return LiveRecord(
        version=switch.version,
        slot=switch.slot,
        since=switch.since,
        until=until,
        deployment=switch.deployment,
        kind=deployment.kind if deployment else None,
        actor=deployment.actor if deployment else None,
        reason=deployment.reason if deployment else None,
        manifest=version.manifest if version else None,
        image_id=version.image_id if version else None,
        git_commit=version.git_commit if version else None,
        git_dirty=version.git_dirty if version else None,
        author=version.author if version else None,
        from_image=version.from_image if version else None,
    )
