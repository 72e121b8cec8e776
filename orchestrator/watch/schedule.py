"""The watchdog's schedule: install and uninstall it."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.config import Config
from orchestrator.domain.watch.schedule import (
    MINUTE,
    Entry,
    Job,
    Kind,
    read_every,
)
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.reports.watchdog import watch_job


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
    job = watch_job(services, config, file, read_every(every, seconds=systemd))
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
    job = watch_job(services, config, file, MINUTE)
    found = services.scheduler.entries(job.app)
    ours = [entry for entry in found if force or entry.serves(job)]
    for entry in ours:
        services.scheduler.remove(entry)
    return Removed(ours, [entry for entry in found if entry not in ours])


def _now(services: Services, job: Job, kind: Kind) -> Entry:
    found = (entry for entry in services.scheduler.entries(job.app) if entry.kind == kind)
    return next(found, Entry(kind, kind, job.app, job.state_dir, job.file, job.every))


def _whose(entry: Entry) -> str:
    if not entry.state_dir:
        return "it does not say whose it is"
    return f"it is for {entry.file}, with the state folder {entry.state_dir}"
