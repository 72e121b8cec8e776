"""Points in time as people write them. Pure: `now` is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, time

from orchestrator.errors import UsageError


def moment(text: str, now: datetime, *, latest: bool = False) -> datetime:
    """Parses `2026-11-20 14:05`, `2026-11-20T14:05+01:00`, `2026-11-20` (midnight) or `14:05` (today).

    Without a time zone it is UTC; the result always is. With `latest`, a time in the future is `now`.

    Raises:
        UsageError: the text is not a valid time, or the time is in the future.
    """
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            parsed = datetime.combine(now.date(), time.fromisoformat(text.strip()))
        except ValueError:
            raise UsageError(
                f"invalid time {text!r}", hint='write "2026-11-20 14:05" (UTC), or "2026-11-20T14:05+01:00"'
            ) from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    try:
        parsed = parsed.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"time {text!r} is out of range", hint="use a year from 2 to 9998") from None
    if parsed > now:
        if latest:
            return now
        raise UsageError(
            f"time {text!r} is in the future",
            why=f"it is {now:%Y-%m-%d %H:%M:%S} UTC",
            hint="add an offset such as +01:00 if you mean local time",
        )
    return parsed


def iso(moment: datetime) -> str:
    """A time in UTC as ISO 8601 text with milliseconds and a Z."""
    # Not strftime: it writes years before 1000 with fewer digits, and times are compared as text.
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def epoch(text: str) -> float:
    """A moment in ISO 8601 as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()
