"""Schedules of systemd: a service that runs one pass, and the timer that starts it. See `Place`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.adapters.systemd import units
from orchestrator.domain.watch.schedule import Entry, Job, Kind
from orchestrator.domain.watch.schedule_texts import read_marker, schedule_name
from orchestrator.errors import HostError
from orchestrator.ports.host import Machine

UNITS = Path("/etc/systemd/system")
BOOTED = Path("/run/systemd/system")
"""This folder exists when systemd is the machine's init."""


class Timer:
    """A timer of the system, or with `own` one of the user."""

    def __init__(self, machine: Machine, *, own: bool, folder: Path | None = None, booted: Path = BOOTED) -> None:
        self._machine, self._own, self._booted = machine, own, booted
        self._folder = folder or (_own_units(machine) if own else UNITS)

    @property
    def kind(self) -> Kind:
        return "systemd --user" if self._own else "systemd"

    def find(self, app: str) -> Entry | None:
        path = self._path(app, "timer")
        text = self._machine.read(path)
        if text is None:
            return None
        service = self._machine.read(self._path(app, "service")) or ""
        facts = next((facts for line in service.split("\n") if (facts := read_marker(app, line))), {})
        program = facts.get("program", "")
        return Entry(
            kind=self.kind,
            place=str(path),
            app=app,
            state_dir=facts.get("state_dir", ""),
            file=facts.get("file", ""),
            every=units.read_timer(text),
            since=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            program=program,
            missing=bool(program) and not Path(program).exists(),
        )

    def install(self, job: Job, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        if not self._booted.is_dir():
            raise HostError(
                "systemd does not run on this machine",
                hint="use cron (without --systemd), or run: deployctl watchdog run --loop 1m",
            )
        wanted = {
            "service": units.service(job, words, environment, system=not self._own),
            "timer": units.timer(job),
        }
        before = {end: self._machine.read(self._path(job.app, end)) for end in wanted}
        if wanted == before and self.trouble(job.app) is None and self._ask("is-enabled", self._timer(job.app)) is None:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(f"the folder {self._folder} cannot be created", why=str(error.strerror)) from error
        for end, text in wanted.items():
            self._machine.write(self._path(job.app, end), text)
        # restart, because a running timer would keep the old interval.
        for arguments in (("daemon-reload",), ("enable", self._timer(job.app)), ("restart", self._timer(job.app))):
            failed = self._ask(*arguments)
            if failed is not None:
                self._restore(job.app, before)
                raise HostError(f"'systemctl {' '.join(arguments)}' failed", why=failed)
        return True

    def remove(self, app: str) -> None:
        if self._booted.is_dir():
            failed = self._ask("disable", "--now", self._timer(app))
            if failed is not None:
                raise HostError(f"'systemctl disable --now {self._timer(app)}' failed", why=failed)
        self._machine.remove(self._folder / "timers.target.wants" / self._timer(app))
        for end in ("timer", "service"):
            self._machine.remove(self._path(app, end))
        if self._booted.is_dir():
            self._ask("daemon-reload")

    def trouble(self, app: str) -> str | None:
        if not self._booted.is_dir():
            return "systemd does not run on this machine, so nothing starts the watchdog"
        if self._ask("is-active", self._timer(app)) is not None:
            return f"the timer does not run: systemctl{' --user' if self._own else ''} start {self._timer(app)}"
        return None

    def _restore(self, app: str, before: Mapping[str, str | None]) -> None:
        for end, text in before.items():
            path = self._path(app, end)
            if text is None:
                self._machine.remove(path)
            else:
                self._machine.write(path, text)
        self._ask("daemon-reload")

    def _ask(self, *arguments: str) -> str | None:
        """Runs systemctl; returns what went wrong, or None."""
        ended = self._machine.run(("systemctl", *(("--user",) if self._own else ()), *arguments))
        return None if ended.code == 0 else ended.message or f"its exit code is {ended.code}"

    def _timer(self, app: str) -> str:
        return f"{schedule_name(app)}.timer"

    def _path(self, app: str, end: str) -> Path:
        return self._folder / f"{schedule_name(app)}.{end}"


def _own_units(machine: Machine) -> Path:
    """The folder of the units of this user."""
    base = machine.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path(machine.home) / ".config") / "systemd" / "user"
