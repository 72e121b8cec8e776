"""All schedules of this machine, behind one port."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

from orchestrator.adapters.cron import texts
from orchestrator.adapters.cron.cron import CronFile, Crontab
from orchestrator.adapters.cron.environment import environment, program
from orchestrator.adapters.cron.machine import Machine
from orchestrator.adapters.systemd.timer import Timer
from orchestrator.domain.watch.schedule import Entry, Job, Kind


def this_machine() -> Machine:
    """The machine and the user of this process."""
    try:
        known = pwd.getpwuid(os.geteuid())
        user, home = known.pw_name, known.pw_dir
    except KeyError:  # a number without a name
        user, home = str(os.geteuid()), "/"
    given = os.environ.get("HOME", "")
    return Machine(user=user, home=given if given.startswith("/") else home, root=os.geteuid() == 0)


class SystemScheduler:
    """cron.d, crontabs and systemd's timers."""

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or this_machine()
        places = (
            CronFile(self._machine),
            Crontab(self._machine),
            Timer(self._machine, own=False),
            Timer(self._machine, own=True),
        )
        self._places: dict[Kind, CronFile | Crontab | Timer] = {place.kind: place for place in places}

    def choose(self, *, systemd: bool, user: bool) -> Kind:
        """Where a schedule belongs: to the machine when root asks, else to the user."""
        own = user or not self._machine.root
        if systemd:
            return "systemd --user" if own else "systemd"
        return "crontab" if own else "cron.d"

    def entries(self, app: str) -> tuple[Entry, ...]:
        """Every schedule of this name that this user can see."""
        found = (place.find(app) for place in self._places.values())
        return tuple(entry for entry in found if entry is not None)

    def install(self, job: Job, kind: Kind) -> tuple[bool, tuple[str, ...]]:
        """Makes a schedule: whether anything changed, and sentences on what was left out of it."""
        words = program(sys.executable, sys.argv[0], _runs)
        variables, notes = environment(self._machine.environ, shutil.which, self._machine.home, module=len(words) > 1)
        changed = self._places[kind].install(job, texts.arguments(words, job), variables)
        return changed, tuple(notes)

    def remove(self, entry: Entry) -> None:
        """Takes a schedule away."""
        self._places[entry.kind].remove(entry.app)

    def trouble(self, kind: Kind, app: str) -> str | None:
        """Why nothing starts the passes of a schedule; None when something does."""
        return self._places[kind].trouble(app)


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
