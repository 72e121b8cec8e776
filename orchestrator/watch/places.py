"""The scheduler of this machine: chooses between cron and systemd."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.watch.schedule_texts import arguments, environment, program

if TYPE_CHECKING:
    from orchestrator.domain.watch.schedule import Entry, Job, Kind
    from orchestrator.ports.host import Machine
    from orchestrator.ports.scheduler import Place


class SystemScheduler:
    """All places of this machine where schedules can be installed. See `Scheduler`."""

    def __init__(self, machine: Machine, places: Sequence[Place]) -> None:
        self._machine = machine
        self._places: dict[Kind, Place] = {place.kind: place for place in places}

    def choose(self, *, systemd: bool, user: bool) -> Kind:
        own = user or not self._machine.root
        if systemd:
            return "systemd --user" if own else "systemd"
        return "crontab" if own else "cron.d"

    def entries(self, app: str) -> tuple[Entry, ...]:
        schedules = (place.find(app) for place in self._places.values())
        return tuple(entry for entry in schedules if entry is not None)

    def install(self, job: Job, kind: Kind) -> tuple[bool, tuple[str, ...]]:
        typed = Path(os.path.abspath(sys.argv[0]))  # noqa: PTH100  links are not resolved: see `program`
        words = program(sys.executable, typed, self._machine.executable)
        variables, notes = environment(
            self._machine.environ, self._machine.which, self._machine.home, module=len(words) > 1
        )
        changed = self._places[kind].install(job, arguments(words, job), variables)
        return changed, tuple(notes)

    def remove(self, entry: Entry) -> None:
        self._places[entry.kind].remove(entry.app)

    def trouble(self, kind: Kind, app: str) -> str | None:
        return self._places[kind].trouble(app)
