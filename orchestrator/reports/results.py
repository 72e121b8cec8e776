"""The reports of commands that change something. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestrator.domain.rollout.deployment import Kind


@dataclass(frozen=True)
class BakeReport:
    """How the bake of a release ended. `seconds` is how long it was watched; None when the watchdog finishes it."""

    outcome: Literal["stable", "baking", "replaced"]
    until: str | None
    seconds: float | None = None


@dataclass(frozen=True)
class ReleaseReport:
    """How a release or a rollback ended. `deployment` and `kind` are None when there was nothing to do."""

    app: str
    outcome: Literal["succeeded", "nothing to do"]
    version: str
    previous: str | None
    deployment: int | None
    kind: Kind | None
    seconds: float
    bake: BakeReport | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecoverReport:
    """What a recovery did. `repaired`, `failed`: sentences for people; `rebuilt`: apps of a rebuilt ledger."""

    app: str
    deployment: int | None
    direction: Literal["finish", "undo"] | None
    repaired: tuple[str, ...]
    failed: tuple[str, ...]
    rebuilt: tuple[str, ...] = ()


@dataclass(frozen=True)
class PruneReport:
    """What was removed, or would be, by name. `freed_bytes` is None with `--dry-run`."""

    app: str
    dry_run: bool
    versions: tuple[str, ...]
    containers: tuple[str, ...]
    images: tuple[str, ...]
    freed_bytes: int | None


@dataclass(frozen=True)
class PassReport:
    """How a pass of the watchdog over one app ended."""

    app: str
    version: str | None
    outcome: Literal["healthy", "acted", "degraded", "failed", "skipped"]
    done: tuple[str, ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class PassesReport:
    """The passes of one `watchdog run`, one for each app."""

    passes: tuple[PassReport, ...]


@dataclass(frozen=True)
class UndeliveredUrl:
    """A URL that did not accept a notification: its number among all, from 1, and why."""

    number: int
    why: str


@dataclass(frozen=True)
class NotifyReport:
    """How a test notification was delivered. `problems` are those of `notify.urls_file`."""

    app: str
    urls: int
    delivered: int
    failed: tuple[UndeliveredUrl, ...]
    problems: tuple[str, ...]


def notify_report(app: str, replies: tuple[str | None, ...], problems: tuple[str, ...]) -> NotifyReport:
    """`replies` holds for each URL None, or why it did not accept the notification."""
    failed = tuple(UndeliveredUrl(number, why) for number, why in enumerate(replies, 1) if why is not None)
    return NotifyReport(app, len(replies), len(replies) - len(failed), failed, problems)
