"""Schedules that cron keeps: a file in /etc/cron.d, or an entry in the user's own crontab."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.adapters.cron import texts
from orchestrator.adapters.cron.machine import Machine, read, remove, write
from orchestrator.domain.watch.schedule import Entry, Job, Kind, interval
from orchestrator.errors import UsageError

# Who has none, or may not have one, has no entry. Who may not is told so when one is to be written.
_NO_CRONTAB = ("no crontab for", "not allowed to")


class CronFile:
    """A file in /etc/cron.d. Only root may write there."""

    kind: Kind = "cron.d"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def find(self, app: str) -> Entry | None:
        """The file of this app, whoever wrote it."""
        path = self._path(app)
        text = read(path)
        return None if text is None else _entry(self.kind, str(path), app, text, path=path, system=True)

    def install(self, job: Job, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Writes the file; false when it says the same already."""
        path = self._path(job.app)
        text = texts.cron_file(job, words, environment, self._machine.user)
        if not path.parent.is_dir():
            hint = "is cron installed? (Debian: apt-get install cron); or use --systemd"
            raise UsageError(f"there is no folder {path.parent}", hint=hint)
        _check(text, job, words, system=True)
        if read(path) == text:
            return False
        write(path, text)
        return True

    def remove(self, app: str) -> None:
        """Removes the file."""
        remove(self._path(app))

    def trouble(self, app: str) -> str | None:
        """Why it is not run, when it is not."""
        return _cron_is_missing(self._machine)

    def _path(self, app: str) -> Path:
        return self._machine.cron_d / texts.name(app)


class Crontab:
    """An entry in the crontab of the user. The other entries are not touched."""

    kind: Kind = "crontab"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def find(self, app: str) -> Entry | None:
        """The entry of this app."""
        if self._machine.cron_program() is None:
            return None
        return _entry(self.kind, f"the crontab of {self._machine.user}", app, self._read())

    def install(self, job: Job, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Writes the entry; false when it is there already."""
        # HOME is what cron gives to everybody.
        kept = {key: value for key, value in environment.items() if key != "HOME"}
        entry = texts.crontab_entry(job, words, kept)
        _check("\n".join(entry), job, words, system=False)
        if self._machine.cron_program() is None:
            hint = "install cron (Debian: apt-get install cron), or use --systemd"
            raise UsageError("there is no program crontab here", hint=hint)
        before = self._read()
        return self._write(before, texts.splice(before, job.app, entry))

    def remove(self, app: str) -> None:
        """Takes the entry away."""
        before = self._read()
        self._write(before, texts.splice(before, app, None))

    def trouble(self, app: str) -> str | None:
        """Why it is not run, when it is not."""
        return _cron_is_missing(self._machine)

    def _read(self) -> str:
        done = self._machine.run(("crontab", "-l"), b"")
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode != 0 and not any(words in said for words in _NO_CRONTAB):
            raise UsageError("the crontab cannot be read", why=said, hint="what does 'crontab -l' say?")
        return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""

    def _write(self, before: str, after: str) -> bool:
        if after == before:
            return False
        command = ("crontab", "-") if after else ("crontab", "-r")
        done = self._machine.run(command, after.encode(errors="surrogateescape"))
        if done.returncode != 0:
            raise UsageError("crontab did not take the entry", why=done.stderr.decode(errors="replace").strip())
        return True


def _cron_is_missing(machine: Machine) -> str | None:
    if machine.cron_runs():
        return None
    return "cron does not run here, so nothing starts a pass: start it (systemctl start cron; service cron start)"


def _entry(
    kind: Kind, place: str, app: str, text: str, *, path: Path | None = None, system: bool = False
) -> Entry | None:
    found = texts.entry_lines(text, app)
    if found is None:
        # A file with our name that we have not written belongs to somebody; in a crontab there is nothing.
        return Entry(kind, place, app) if path else None
    facts, line = found
    every, enabled, _ = _parse(line, system=system)
    program = facts.get("program", "")
    return Entry(
        kind=kind,
        place=place,
        app=app,
        state_dir=facts.get("state_dir", ""),
        file=facts.get("file", ""),
        every=every,
        enabled=enabled,
        since=datetime.fromtimestamp(path.stat().st_mtime, UTC) if path else None,
        program=program,
        missing=bool(program) and not Path(program).exists(),
    )


def _parse(line: str, *, system: bool) -> tuple[int | None, bool, str]:
    """The interval of an entry, whether it is switched on, and its command as the shell gets it.

    python-crontab reads it, as it would be read elsewhere. It is not used to write: it would write the other
    entries anew as well, and it loses variables with spaces around their '='.
    """
    from crontab import CronTab

    # It would tell people on stderr what it thinks of the line; we say it ourselves.
    logging.getLogger("crontab").setLevel(logging.CRITICAL)
    try:
        jobs = list(CronTab(user=False if system else None, tab=line + "\n"))
    except (IndexError, KeyError, ValueError):  # somebody has written what it cannot read
        jobs = []
    if not jobs:
        return None, False, ""
    return interval(jobs[0].slices.clean_render()), bool(jobs[0].enabled), str(jobs[0].command)


def _check(text: str, job: Job, words: Sequence[str], *, system: bool) -> None:
    """What was written must be read again as what was meant: a schedule that fails, fails unseen."""
    found = texts.entry_lines(text, job.app)
    every, enabled, command = _parse(found[1], system=system) if found else (None, False, "")
    if (every, enabled) != (job.every, True) or not command.endswith(" ".join(texts.quote(word) for word in words)):
        raise UsageError(
            "these paths cannot be written into an entry of cron",
            why=command or "it could not be read again",
            hint="rename them, or use --systemd",
        )
