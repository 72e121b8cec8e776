"""The watchdog's schedule: install it, take it away, say how it is."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

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
    read_every,
    write_every,
)
from orchestrator.errors import UsageError
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
Json = dict[str, Any]


@dataclass
class Installed:
    """What `install` did: where, and what it took away elsewhere."""

    entry: Entry
    changed: bool
    removed: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Removed:
    """What `uninstall` took away, and what it left because it is for another state folder or file."""

    removed: list[Entry]
    left: list[Entry]


def install(
    services: Services, config: Config, file: str, every: str, *, systemd: bool, user: bool, force: bool
) -> Installed:
    """Has passes run by themselves. Done twice, the second time changes nothing.

    Raises:
        UsageError: it cannot be done here, or the place is taken by another state folder or file.
    """
    kind = services.scheduler.choose(systemd=systemd, user=user)
    job = _job(services, config, file, read_every(every, seconds=systemd))
    before = services.scheduler.entries(job.app)
    for entry in before:
        if entry.kind == kind and not entry.serves(job) and not force:
            raise UsageError(
                f"{entry.place} has a schedule of another {job.app} already",
                why=_whose(entry),
                hint="give one of the apps another name, or replace it with --force",
            )
    changed, notes = services.scheduler.install(job, kind)
    done = Installed(_now(services, job, kind), changed, notes=list(notes))
    for entry in before:
        # One schedule is enough: two would only meet at the app's lock.
        if entry.kind != kind and entry.serves(job):
            services.scheduler.remove(entry)
            done.removed.append(entry)
    trouble = services.scheduler.trouble(kind, job.app)
    if trouble is not None:
        done.notes.append(trouble)
    if kind == "systemd --user":
        done.notes.append("it ends when you log out, unless 'loginctl enable-linger' was called for you")
    return done


def uninstall(services: Services, config: Config, file: str, *, force: bool) -> Removed:
    """Takes away every schedule of the app that this user can see; those of others only by `force`."""
    job = _job(services, config, file, MINUTE)
    found = services.scheduler.entries(job.app)
    ours = [entry for entry in found if force or entry.serves(job)]
    for entry in ours:
        services.scheduler.remove(entry)
    return Removed(ours, [entry for entry in found if entry not in ours])


def status(services: Services, config: Config, file: str) -> Json:
    """The schedule, the last passes, the counters, and what is wrong with them."""
    job = _job(services, config, file, MINUTE)
    entries = services.scheduler.entries(job.app)
    passes = services.ledger.passes(job.app, _PASSES)
    counts = services.ledger.counts(job.app)
    now = services.wall()
    problems: list[str] = []
    due = []
    for entry in entries:
        if not entry.serves(job):
            continue
        problems += _problems(services, entry, passes, now)
        if entry.every is not None and entry.enabled:
            # cron goes by the local time.
            due.append(next_due(entry.kind, entry.every, now.astimezone(), last_pass(passes)))
    if passes and passes[0].outcome in ("degraded", "failed"):
        problems.append(f"the last pass {_ended(passes[0])}")
    return {
        "schema_version": 1,
        "app": job.app,
        "schedules": [_row(entry, entry.serves(job)) for entry in entries],
        "next": iso(min(due).astimezone(UTC)) if due else None,
        "passes": [
            {"at": found.at, "outcome": found.outcome, "seconds": found.seconds, "said": list(found.said)}
            for found in passes
        ],
        "counts": {**dict.fromkeys(_COUNTERS, 0), **counts},
        "problems": problems,
    }


def _problems(services: Services, entry: Entry, passes: list[Pass], now: datetime) -> list[str]:
    again = "deployctl watchdog install"
    found = []
    if not entry.enabled:
        found.append(f"the schedule in {entry.place} is switched off, or cannot be read: {again}")
    if entry.missing:
        found.append(f"the schedule in {entry.place} starts {entry.program}, which is not there: {again}")
    trouble = services.scheduler.trouble(entry.kind, entry.app)
    if trouble is not None:
        found.append(trouble)
    if entry.every is not None:
        late = overdue(entry.every, now, last_pass(passes), entry.since)
        if late is not None:
            since = f"there was no pass for {_words(late)}" if passes else f"there was no pass in {_words(late)}"
            found.append(f"{since}, and one is due every {write_every(entry.every)}")
    return found


def _job(services: Services, config: Config, file: str, every: int) -> Job:
    # Links in the path are left: an app's folder may be one, and lead elsewhere tomorrow.
    return Job(config.app.name, str(services.state_dir), os.path.abspath(file), every)  # noqa: PTH100


def _now(services: Services, job: Job, kind: Kind) -> Entry:
    found = (entry for entry in services.scheduler.entries(job.app) if entry.kind == kind)
    return next(found, Entry(kind, kind, job.app, job.state_dir, job.file, job.every))


def _row(entry: Entry, ours: bool) -> Json:
    return {
        "kind": entry.kind,
        "place": entry.place,
        "every": entry.every,
        "enabled": entry.enabled,
        "ours": ours,
        "state_dir": entry.state_dir,
        "file": entry.file,
    }


def _whose(entry: Entry) -> str:
    if not entry.state_dir:
        return "it does not say whose it is"
    return f"it is for {entry.file}, with the state folder {entry.state_dir}"


def _ended(found: Pass) -> str:
    words = {"degraded": "found what it could not mend", "failed": "failed"}[found.outcome]
    return words + (f": {'; '.join(found.said)}" if found.said else "")


def _words(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
