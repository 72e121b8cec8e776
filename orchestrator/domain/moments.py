"""Moments as people write them. Pure: `now` is given."""

from __future__ import annotations

from datetime import UTC, datetime, time

from orchestrator.errors import UsageError


def moment(text: str, now: datetime) -> datetime:
    """`2026-11-20 14:05`, `2026-11-20T14:05+01:00`, `2026-11-20` (its beginning), `14:05` (today); UTC without a zone.

    Raises:
        UsageError: it is none, or it is still to come.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            found = datetime.combine(now.date(), time.fromisoformat(text.strip()))
        except ValueError:
            raise UsageError(
                f"{text!r} is no time", hint='write "2026-11-20 14:05" (UTC), or "2026-11-20T14:05+01:00"'
            ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{text!r} is no time that a computer can count", hint="write a nearer one") from None
    if found > now:
        raise UsageError(f"{text!r} is still to come", why=f"it is {now:%Y-%m-%d %H:%M:%S} UTC")
    return found


def iso(moment: datetime) -> str:
    """UTC in ISO 8601 with milliseconds and a Z."""
    # Not strftime: its years before 1000 are shorter, and times are compared as text.
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
