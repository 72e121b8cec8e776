"""When the watchdog runs by itself: which intervals a schedule can keep, when the next pass is due. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from orchestrator.domain.watch.passes import Pass
from orchestrator.errors import UsageError

Kind = Literal["cron.d", "crontab", "systemd", "systemd --user"]
KINDS: tuple[Kind, ...] = ("cron.d", "crontab", "systemd", "systemd --user")

MINUTE, HOUR, DAY = 60, 3600, 86400
# What divides an hour, and what divides a day: cron's */N begins anew with each of them.
_CRON = [n * MINUTE for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)] + [n * HOUR for n in (1, 2, 3, 4, 6, 8, 12, 24)]
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
# A pass that begins late, and takes its time, is no reason for an alarm.
_SLACK = 60


@dataclass(frozen=True)
class Job:
    """What is to be run by itself: a pass over the app of a file, with a state folder, every so many seconds."""

    app: str
    state_dir: str
    file: str
    every: int


@dataclass(frozen=True)
class Entry:
    """A schedule that is there. What cannot be told from it is empty or None.

    `since` is when it was written; `enabled` is false when somebody has switched it off; `program` is what it
    starts, and `missing` says that this is not there any more.
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
    """`"5m"` as seconds. `seconds` says that the schedule can do any whole second (a systemd timer).

    Raises:
        UsageError: it is no such time, or cron cannot do it.
    """
    found = re.fullmatch(r"(?:[0-9]{1,6}[smhd]){1,4}", text)
    value = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text)) if found else 0
    if value < 1:
        raise UsageError(f"--every {text}: expected a time such as 1m", hint="deployctl watchdog install --every 5m")
    if value > DAY:
        raise UsageError(f"--every {text} is too long", hint="24h is the longest")
    if seconds or value in _CRON:
        return value
    if value < MINUTE:
        raise UsageError(
            f"cron cannot do every {text}",
            why="its shortest step is a minute",
            hint=f"deployctl watchdog install --systemd --every {text}, or deployctl watchdog run --loop {text}",
        )
    lower = max(step for step in _CRON if step < value)
    upper = min(step for step in _CRON if step > value)
    raise UsageError(
        f"cron cannot do every {text}",
        why="its steps must divide an hour or a day",
        hint=f"--every {write_every(lower)} or --every {write_every(upper)}; --systemd can do any",
    )


def write_every(seconds: int) -> str:
    """300 as `"5m"`."""
    for unit, size in (("h", HOUR), ("m", MINUTE)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def cron_fields(seconds: int) -> str:
    """The five fields of a crontab for an interval that `read_every` let pass."""
    if seconds < HOUR:
        return "* * * * *" if seconds == MINUTE else f"*/{seconds // MINUTE} * * * *"
    if seconds == DAY:
        return "0 0 * * *"
    return "0 * * * *" if seconds == HOUR else f"0 */{seconds // HOUR} * * *"


def interval(fields: str) -> int | None:
    """What `cron_fields` was given; None for fields that it does not write."""
    return {cron_fields(seconds): seconds for seconds in _CRON}.get(fields)


def next_due(kind: Kind, every: int, now: datetime, last: datetime | None) -> datetime:
    """When the next pass is due. `now` carries the time zone that cron goes by.

    Cron runs at whole multiples since midnight; a timer counts from the last pass.
    """
    if kind in ("cron.d", "crontab"):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        gone = int((now - midnight).total_seconds())
        return midnight + timedelta(seconds=(gone // every + 1) * every)
    return max(now, last + timedelta(seconds=every)) if last else now


def overdue(every: int, now: datetime, last: datetime | None, since: datetime | None) -> timedelta | None:
    """How long there was no pass, when that is too long; None while it is not, or when nothing tells."""
    known = [at for at in (last, since) if at is not None]
    if not known:
        return None
    gone = now - max(known)
    return gone if gone > timedelta(seconds=2 * every + _SLACK) else None


def last_pass(passes: Sequence[Pass]) -> datetime | None:
    """When the newest pass was; None when there was none."""
    return datetime.fromisoformat(passes[0].at) if passes else None
