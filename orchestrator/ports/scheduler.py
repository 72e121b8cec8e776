"""What starts the watchdog at regular times: cron, or systemd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.watch.schedule import Entry, Job, Kind


class Place(Protocol):
    """One place for schedules: /etc/cron.d, a crontab, or the timers of systemd.

    Every method raises HostError when a program or a file of the machine cannot be used. All may be repeated.
    """

    @property
    def kind(self) -> Kind:
        """Which place this is."""

    def find(self, app: str) -> Entry | None:
        """The schedule with the app's name, of any state folder; None without one."""

    def install(self, job: Job, words: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Writes a schedule for a command with its environment; False when the same one exists already.

        Raises:
            UsageError: these paths or variables cannot be written into a schedule.
        """

    def remove(self, app: str) -> None:
        """Removes the app's schedule. A missing one is not an error."""

    def trouble(self, app: str) -> str | None:
        """Why the app's schedule will not be started, in words; None when it will be."""


class Scheduler(Protocol):
    """All places of this machine. Its methods raise what those of `Place` raise."""

    def choose(self, *, systemd: bool, user: bool) -> Kind:
        """The place for a new schedule: the machine's when root asks, else the user's own."""

    def entries(self, app: str) -> tuple[Entry, ...]:
        """Every schedule with the app's name that this user can see."""

    def install(self, job: Job, kind: Kind) -> tuple[bool, tuple[str, ...]]:
        """Installs a schedule; returns whether anything changed, and sentences about variables that were left out."""

    def remove(self, entry: Entry) -> None:
        """Removes a schedule."""

    def trouble(self, kind: Kind, app: str) -> str | None:
        """Why a schedule will not be started, in words; None when it will be."""
