"""The watchdog: its schedules, last passes and counters. Reads only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.watch.passes import Pass
from orchestrator.domain.watch.schedule import (
    DAY,
    HOUR,
    MINUTE,
    Entry,
    Job,
    Kind,
    last_pass,
    next_due,
    overdue,
    write_every,
)
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services

_PASSES = 10
_COUNTERS = (
    "pass:healthy",
    "pass:acted",
    "pass:degraded",
    "pass:failed",
    "skipped",
    "healed",
    "auto-rollback",
)


@frozen
class SchedulePlace:
    """Where a schedule is: a file, or the crontab of a user."""

    kind: Kind
    place: str


@frozen
class InstallReport:
    """The schedule after `watchdog install`. `every` in seconds; `removed` are schedules of the app elsewhere."""

    app: str
    kind: Kind
    place: str
    every: int | None
    changed: bool
    removed: tuple[SchedulePlace, ...]
    notes: tuple[str, ...]


@frozen
class UninstallReport:
    """What `watchdog uninstall` removed, and what it left because it is for another state folder or file."""

    app: str
    removed: tuple[SchedulePlace, ...]
    left: tuple[SchedulePlace, ...]


@frozen
class ScheduleReport:
    """A schedule. `every` in seconds, None for other times; `ours`: it is for this state folder and this file."""

    kind: Kind
    place: str
    every: int | None
    enabled: bool
    ours: bool
    state_dir: str
    file: str


@frozen
class PassRecord:
    """A pass that was recorded. `messages`: sentences for people."""

    at: str
    outcome: Literal["healthy", "acted", "degraded", "failed"]
    seconds: float
    messages: tuple[str, ...]


@frozen
class WatchdogReport:
    """The schedules of an app, its last passes (newest first), its counters, and what is wrong."""

    app: str
    schedules: tuple[ScheduleReport, ...]
    next: str | None
    passes: tuple[PassRecord, ...]
    counts: Mapping[str, int]
    problems: tuple[str, ...]


def watchdog_status(services: Services, config: Config, file: str) -> WatchdogReport:
    """The schedules, the last passes and the counters of the app of `file`."""
    job = watch_job(services, config, file, MINUTE)
    entries = services.scheduler.entries(job.app)
    passes = services.ledger.passes(job.app, _PASSES)
    now = services.wall()
    problems: list[str] = []
    due = []
    for entry in entries:
        if not entry.serves(job):
            continue
        problems += _problems(services, entry, passes, now)
        if entry.every is not None and entry.enabled:
            # cron uses the local time.
            due.append(next_due(entry.kind, entry.every, now.astimezone(), last_pass(passes)))
    if passes and passes[0].outcome in ("degraded", "failed"):
        problems.append(f"the last pass {_ending(passes[0])}")
    return WatchdogReport(
        app=job.app,
        schedules=tuple(_schedule(entry, ours=entry.serves(job)) for entry in entries),
        next=iso(min(due).astimezone(UTC)) if due else None,
        passes=tuple(PassRecord(each.at, each.outcome, each.seconds, each.said) for each in passes),
        counts={**dict.fromkeys(_COUNTERS, 0), **services.ledger.counts(job.app)},
        problems=tuple(problems),
    )


def watch_job(services: Services, config: Config, file: str, every: int) -> Job:
    """The job that runs a pass over the app of `file`, every `every` seconds."""
    # Symlinks in the path are kept: the folder of an app may be one whose target changes.
    return Job(config.app.name, str(services.state_dir), os.path.abspath(file), every)  # noqa: PTH100


def _problems(services: Services, entry: Entry, passes: list[Pass], now: datetime) -> list[str]:
    again = "deployctl watchdog install"
    problems = []
    if not entry.enabled:
        problems.append(f"the schedule in {entry.place} is disabled, or cannot be read: {again}")
    if entry.missing:
        problems.append(f"the schedule in {entry.place} starts {entry.program}, which does not exist: {again}")
    trouble = services.scheduler.trouble(entry.kind, entry.app)
    if trouble is not None:
        problems.append(trouble)
    if entry.every is not None:
        late = overdue(entry.every, now, last_pass(passes), entry.since)
        if late is not None:
            since = f"no pass for {_duration(late)}" if passes else f"no pass in {_duration(late)}"
            problems.append(f"{since}, and one is due every {write_every(entry.every)}")
    return problems


def _schedule(entry: Entry, *, ours: bool) -> ScheduleReport:
    return ScheduleReport(
        kind=entry.kind,
        place=entry.place,
        every=entry.every,
        enabled=entry.enabled,
        ours=ours,
        state_dir=entry.state_dir,
        file=entry.file,
    )


def _ending(last: Pass) -> str:
    words = {"degraded": "found problems that it could not fix", "failed": "failed"}[last.outcome]
    return words + (f": {'; '.join(last.said)}" if last.said else "")


def _duration(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
