"""Installs and uninstalls the schedule of the watchdog."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

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
    """What `install` did: the schedule, whether it changed, and the schedules that it replaced."""

    entry: Entry
    changed: bool
    removed: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Removed:
    """What `uninstall` removed, and what it left because it is for another state folder or file."""

    removed: list[Entry]
    left: list[Entry]


def install(
    services: Services, config: Config, file: str, every: str, *, systemd: bool, user: bool, force: bool
) -> Installed:
    """Installs a schedule that runs passes. The second time it changes nothing.

    Raises:
        UsageError: the interval is invalid, others can change the file, or there is a schedule for another state folder
            or file.
        HostError: a program or a file of the machine cannot be used.
    """
    kind = services.scheduler.choose(systemd=systemd, user=user)
    job = watch_job(services, config, file, read_every(every, seconds=systemd))
    _check_writers(services, job)
    before = services.scheduler.entries(job.app)
    for entry in before:
        if entry.kind == kind and not entry.serves(job) and not force:
            raise UsageError(
                f"{entry.place} has a schedule for another app named {job.app}",
                why=_owner(entry),
                hint="give one of the apps another name, or replace it with --force",
            )
    changed, notes = services.scheduler.install(job, kind)
    done = Installed(_installed(services, job, kind), changed, notes=list(notes))
    for entry in before:
        # One schedule is enough: the passes of two would block each other.
        if entry.kind != kind and entry.serves(job):
            services.scheduler.remove(entry)
            done.removed.append(entry)
    trouble = services.scheduler.trouble(kind, job.app)
    if trouble is not None:
        done.notes.append(trouble)
    if kind == "systemd --user":
        done.notes.append("the timer stops when you log out, unless you enable lingering: loginctl enable-linger")
    return done


def uninstall(services: Services, config: Config, file: str, *, force: bool) -> Removed:
    """Removes every schedule of the app that this user can see.

    Those for another state folder or file are removed only with `force`.

    Raises:
        HostError: a program or a file of the machine cannot be used.
    """
    job = watch_job(services, config, file, MINUTE)
    entries = services.scheduler.entries(job.app)
    removed = [entry for entry in entries if force or entry.serves(job)]
    for entry in removed:
        services.scheduler.remove(entry)
    return Removed(removed, [entry for entry in entries if entry not in removed])


def _check_writers(services: Services, job: Job) -> None:
    """Refuses a configuration that others can change: with its mounts and commands they would act as this user.

    Raises:
        UsageError: somebody else can change or replace the file.
    """
    why = services.host.writers(Path(job.file))
    if why is not None:
        raise UsageError(
            f"other users can change {job.file}, so the schedule could run their commands",
            why=why,
            hint="remove their write permission (chmod go-w, chown), or run the command as the owner of the file",
        )


def _installed(services: Services, job: Job, kind: Kind) -> Entry:
    entries = (entry for entry in services.scheduler.entries(job.app) if entry.kind == kind)
    return next(entries, Entry(kind, kind, job.app, job.state_dir, job.file, job.every))


def _owner(entry: Entry) -> str:
    if not entry.state_dir:
        return "its state folder is unknown"
    return f"it is for {entry.file}, with the state folder {entry.state_dir}"
