"""Schedules that systemd keeps: a service that makes one pass, and the timer that starts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.adapters.cron import texts
from orchestrator.adapters.cron.machine import Machine, read, remove, write
from orchestrator.domain.watch.schedule import Entry, Job, Kind
from orchestrator.errors import UsageError


class Timer:
    """A timer of the machine, or of the user's own systemd."""

    def __init__(self, machine: Machine, *, own: bool) -> None:
        self.kind: Kind = "systemd --user" if own else "systemd"
        self._machine, self._own = machine, own
        self._folder = machine.user_units if own else machine.units

    def find(self, app: str) -> Entry | None:
        """The timer of this app, whoever wrote it."""
        path = self._path(app, "timer")
        text = read(path)
        if text is None:
            return None
        marked = read(self._path(app, "service")) or ""
        facts = next((found for line in marked.split("\n") if (found := texts.read_marker(app, line))), {})
        program = facts.get("program", "")
        return Entry(
            kind=self.kind,
            place=str(path),
            app=app,
            state_dir=facts.get("state_dir", ""),
            file=facts.get("file", ""),
            every=texts.read_timer(text),
            since=datetime.fromtimestamp(path.stat().st_mtime, UTC),
            program=program,
            missing=bool(program) and not Path(program).exists(),
        )

    def install(self, job: Job, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Writes both units and starts the timer; false when all of that is so already."""
        if not self._machine.booted.is_dir():
            raise UsageError(
                "systemd does not run here",
                hint="leave --systemd out: cron does it; or deployctl watchdog run --loop 1m",
            )
        wanted = {
            "service": texts.service(job, words, environment, system=not self._own),
            "timer": texts.timer(job),
        }
        before = {end: read(self._path(job.app, end)) for end in wanted}
        if wanted == before and self.trouble(job.app) is None and self._ask("is-enabled", self._timer(job.app)) is None:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self._folder} cannot be made", why=str(error.strerror)) from error
        for end, text in wanted.items():
            write(self._path(job.app, end), text)
        # A timer that runs would keep the old interval.
        for arguments in (("daemon-reload",), ("enable", self._timer(job.app)), ("restart", self._timer(job.app))):
            failed = self._ask(*arguments)
            if failed is not None:
                self._restore(job.app, before)
                raise UsageError(f"'systemctl {' '.join(arguments)}' did not work", why=failed)
        return True

    def remove(self, app: str) -> None:
        """Stops the timer and removes both units."""
        if self._machine.booted.is_dir():
            failed = self._ask("disable", "--now", self._timer(app))
            if failed is not None:
                raise UsageError(f"'systemctl disable --now {self._timer(app)}' did not work", why=failed)
        remove(self._folder / "timers.target.wants" / self._timer(app))
        for end in ("timer", "service"):
            remove(self._path(app, end))
        if self._machine.booted.is_dir():
            self._ask("daemon-reload")

    def trouble(self, app: str) -> str | None:
        """Why it is not run, when it is not."""
        if not self._machine.booted.is_dir():
            return "systemd does not run here, so nothing starts a pass"
        if self._ask("is-active", self._timer(app)) is not None:
            return f"the timer does not run: systemctl{' --user' if self._own else ''} start {self._timer(app)}"
        return None

    def _restore(self, app: str, before: Mapping[str, str | None]) -> None:
        for end, text in before.items():
            path = self._path(app, end)
            remove(path) if text is None else write(path, text)
        self._ask("daemon-reload")

    def _ask(self, *arguments: str) -> str | None:
        """Runs systemctl; what went wrong, or None."""
        done = self._machine.run(("systemctl", *(("--user",) if self._own else ()), *arguments), b"")
        if done.returncode == 0:
            return None
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        return said or f"it ended with {done.returncode}"

    def _timer(self, app: str) -> str:
        return f"{texts.name(app)}.timer"

    def _path(self, app: str, end: str) -> Path:
        return self._folder / f"{texts.name(app)}.{end}"
