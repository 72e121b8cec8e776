"""Schedules of cron: a file in /etc/cron.d, or an entry in the user's own crontab. See `Place`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from crontab import CronTab

from orchestrator.adapters.cron import texts
from orchestrator.domain.watch.schedule import Entry, Job, Kind, interval
from orchestrator.domain.watch.schedule_texts import quote, schedule_name
from orchestrator.errors import HostError, UsageError
from orchestrator.ports.host import Machine

# A user without a crontab, or without permission to use it, has no entry. The write reports the missing permission.
_NO_CRONTAB = ("no crontab for", "not allowed to")
_CRONS = frozenset({"cron", "crond", "fcron", "systemd-cron"})
CRON_D = Path("/etc/cron.d")


class CronFile:
    """A file in /etc/cron.d, where only root can write."""

    kind: Kind = "cron.d"

    def __init__(self, machine: Machine, folder: Path = CRON_D) -> None:
        self._machine, self._folder = machine, folder

    def find(self, app: str) -> Entry | None:
        path = self._path(app)
        text = self._machine.read(path)
        return None if text is None else _entry(self.kind, str(path), app, text, path=path, system=True)

    def install(self, job: Job, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        path = self._path(job.app)
        text = texts.cron_file(job, words, environment, self._machine.account)
        if not path.parent.is_dir():
            hint = "install cron (Debian: apt-get install cron), or use --systemd"
            raise HostError(f"there is no folder {path.parent}", hint=hint)
        _check(text, job, words, system=True)
        if self._machine.read(path) == text:
            return False
        self._machine.write(path, text)
        return True

    def remove(self, app: str) -> None:
        self._machine.remove(self._path(app))

    def trouble(self, app: str) -> str | None:
        return _cron_is_missing(self._machine)

    def _path(self, app: str) -> Path:
        return self._folder / schedule_name(app)


class Crontab:
    """An entry in the crontab of the user. Other entries are not changed."""

    kind: Kind = "crontab"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def find(self, app: str) -> Entry | None:
        if self._machine.which("crontab") is None:
            return None
        return _entry(self.kind, f"the crontab of {self._machine.account}", app, self._read())

    def install(self, job: Job, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        # cron sets HOME itself.
        kept = {key: value for key, value in environment.items() if key != "HOME"}
        entry = texts.crontab_entry(job, words, kept)
        _check("\n".join(entry), job, words, system=False)
        if self._machine.which("crontab") is None:
            hint = "install cron (Debian: apt-get install cron), or use --systemd"
            raise HostError("there is no program crontab", hint=hint)
        before = self._read()
        return self._write(before, texts.splice(before, job.app, entry))

    def remove(self, app: str) -> None:
        before = self._read()
        self._write(before, texts.splice(before, app, None))

    def trouble(self, app: str) -> str | None:
        return _cron_is_missing(self._machine)

    def _read(self) -> str:
        ended = self._machine.run(("crontab", "-l"))
        if ended.code != 0 and not any(words in ended.message for words in _NO_CRONTAB):
            raise HostError("the crontab cannot be read", why=ended.message, hint="check it: crontab -l")
        return ended.output.decode(errors="surrogateescape") if ended.code == 0 else ""

    def _write(self, before: str, after: str) -> bool:
        if after == before:
            return False
        command = ("crontab", "-") if after else ("crontab", "-r")
        ended = self._machine.run(command, after.encode(errors="surrogateescape"))
        if ended.code != 0:
            raise HostError("crontab rejected the entry", why=ended.message)
        return True


def _cron_is_missing(machine: Machine) -> str | None:
    if machine.running(_CRONS):
        return None
    return "cron does not run, so nothing starts the watchdog: start it (systemctl start cron; service cron start)"


def _entry(
    kind: Kind, place: str, app: str, text: str, *, path: Path | None = None, system: bool = False
) -> Entry | None:
    ours = texts.entry_lines(text, app)
    if ours is None:
        # A file with our name and without our marker was written by somebody else; a crontab then has no entry.
        return Entry(kind, place, app) if path else None
    facts, line = ours
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
    """The interval of an entry, whether it is enabled, and its command as the shell gets it.

    python-crontab is used only to read: when it writes, it also rewrites other entries, and loses variables with
    spaces around their '='.
    """
    # It writes messages about invalid lines to stderr.
    logging.getLogger("crontab").setLevel(logging.CRITICAL)
    try:
        jobs = list(CronTab(user=False if system else None, tab=line + "\n"))
    except (IndexError, KeyError, ValueError):  # a line that it cannot read
        jobs = []
    if not jobs:
        return None, False, ""
    return interval(jobs[0].slices.clean_render()), bool(jobs[0].enabled), str(jobs[0].command)


def _check(text: str, job: Job, words: Sequence[str], *, system: bool) -> None:
    """Reads the text again: an entry that cron reads differently would go unnoticed."""
    ours = texts.entry_lines(text, job.app)
    every, enabled, command = _parse(ours[1], system=system) if ours else (None, False, "")
    if (every, enabled) != (job.every, True) or not command.endswith(" ".join(quote(word) for word in words)):
        raise UsageError(
            "these paths cannot be used in an entry of cron",
            why=command or "the entry cannot be parsed",
            hint="rename the folders, or use --systemd",
        )
