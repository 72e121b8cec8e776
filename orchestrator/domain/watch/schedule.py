"""Schedules of the watchdog: the intervals that they support, and when the next pass is due. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from orchestrator.domain.watch.passes import Pass
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen

Kind = Literal["cron.d", "crontab", "systemd", "systemd --user"]
KINDS: tuple[Kind, ...] = ("cron.d", "crontab", "systemd", "systemd --user")

MINUTE, HOUR, DAY = 60, 3600, 86400
# The divisors of an hour and of a day, in seconds: cron's */N starts again at each full hour and at midnight.
_CRON = [n * MINUTE for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)] + [n * HOUR for n in (1, 2, 3, 4, 6, 8, 12, 24)]
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
# A pass may start late and take a while before it counts as overdue. Seconds.
_SLACK = 60


@frozen
class Job:
    """What a schedule runs: a pass over the app of a file, with a state folder, every `every` seconds."""

    app: str
    state_dir: str
    file: str
    every: int


@frozen
class Entry:
    """A schedule that exists. What it does not say is empty or None.

    `every` is in seconds. `since` is when it was written; `enabled` is false when it was disabled. `program` is the
    path that it starts; `missing`: there is no such file any more.
    """

    kind: Kind
    place: str
    app: str
    state_dir: str = ""
    file: str = ""
    every: int | None = None
    enabled: bool = True
    since: datetime | None = None
    program: str = ""
    missing: bool = False

    def serves(self, job: Job) -> bool:
        """Whether it is for the same state folder and the same file."""
        return (self.state_dir, self.file) == (job.state_dir, job.file)


def read_every(text: str, *, seconds: bool) -> int:
    """Parses an interval such as `"5m"`; returns seconds.

    `seconds`: the schedule supports any whole number of seconds, as a systemd timer does.

    Raises:
        UsageError: the interval is invalid, or cron does not support it.
    """
    valid = re.fullmatch(r"(?:[0-9]{1,6}[smhd]){1,4}", text)
    value = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text)) if valid else 0
    if value < 1:
        raise UsageError(
            f"--every {text}: expected an interval such as 1m", hint="deployctl watchdog install --every 5m"
        )
    if value > DAY:
        raise UsageError(f"--every {text} is too long", hint="24h is the longest")
    if seconds or value in _CRON:
        return value
    if value < MINUTE:
        raise UsageError(
            f"cron does not support --every {text}",
            why="its shortest interval is a minute",
            hint=f"deployctl watchdog install --systemd --every {text}, or deployctl watchdog run --loop {text}",
        )
    lower = max(step for step in _CRON if step < value)
    upper = min(step for step in _CRON if step > value)
    raise UsageError(
        f"cron does not support --every {text}",
        why="its intervals must divide an hour or a day",
        hint=f"--every {write_every(lower)} or --every {write_every(upper)}; --systemd supports any interval",
    )


def write_every(seconds: int) -> str:
    """Seconds as an interval: 300 as `"5m"`."""
    for unit, size in (("h", HOUR), ("m", MINUTE)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def cron_fields(seconds: int) -> str:
    """The five fields of a crontab line for an interval in seconds that `read_every` accepted for cron."""
    if seconds < HOUR:
        return "* * * * *" if seconds == MINUTE else f"*/{seconds // MINUTE} * * * *"
    if seconds == DAY:
        return "0 0 * * *"
    return "0 * * * *" if seconds == HOUR else f"0 */{seconds // HOUR} * * *"


def interval(fields: str) -> int | None:
    """The interval of these crontab fields in seconds; None for fields that `cron_fields` does not write."""
    return {cron_fields(seconds): seconds for seconds in _CRON}.get(fields)


def next_due(kind: Kind, every: int, now: datetime, last: datetime | None) -> datetime:
    """When the next pass is due. `every` is in seconds; `now` has the time zone that cron uses.

    Cron runs at multiples of the interval since midnight; a timer counts from the last pass.
    """
    if kind in ("cron.d", "crontab"):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        elapsed = int((now - midnight).total_seconds())
        return midnight + timedelta(seconds=(elapsed // every + 1) * every)
    return max(now, last + timedelta(seconds=every)) if last else now


def overdue(every: int, now: datetime, last: datetime | None, since: datetime | None) -> timedelta | None:
    """How long there has been no pass, when the next one is overdue; None when it is not, or when that is unknown.

    `every` is in seconds, `last` is the last pass, `since` is when the schedule was written.
    """
    known = [at for at in (last, since) if at is not None]
    if not known:
        return None
    elapsed = now - max(known)
    return elapsed if elapsed > timedelta(seconds=2 * every + _SLACK) else None


def last_pass(passes: Sequence[Pass]) -> datetime | None:
    """When the newest pass was; None when there was none."""
    return datetime.fromisoformat(passes[0].at) if passes else None
