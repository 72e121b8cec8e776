"""Intervals of schedules, and when a pass is due or overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestrator.domain.watch.schedule import (
    cron_fields,
    interval,
    last_pass,
    next_due,
    overdue,
    read_every,
    write_every,
)
from orchestrator.errors import UsageError

FIELDS = {
    "1m": "* * * * *",
    "60s": "* * * * *",
    "2m": "*/2 * * * *",
    "30m": "*/30 * * * *",
    "60m": "0 * * * *",
    "1h": "0 * * * *",
    "8h": "0 */8 * * *",
    "24h": "0 0 * * *",
    "1d": "0 0 * * *",
}


@pytest.mark.parametrize(("text", "fields"), FIELDS.items())
def test_intervals_that_cron_supports(text: str, fields: str) -> None:
    seconds = read_every(text, seconds=False)
    assert cron_fields(seconds) == fields
    assert interval(fields) == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("7m", "--every 6m or --every 10m; --systemd supports any interval"),
        ("45m", "--every 30m or --every 1h; --systemd supports any interval"),
        ("90s", "--every 1m or --every 2m; --systemd supports any interval"),
        ("5h", "--every 4h or --every 6h; --systemd supports any interval"),
        ("10s", "deployctl watchdog install --systemd --every 10s, or deployctl watchdog run --loop 10s"),
        ("25h", "24h is the longest"),
        ("0m", "deployctl watchdog install --every 5m"),
        ("5", "deployctl watchdog install --every 5m"),
        ("-1m", "deployctl watchdog install --every 5m"),
        ("often", "deployctl watchdog install --every 5m"),
        ("", "deployctl watchdog install --every 5m"),
    ],
)
def test_intervals_that_cron_does_not_support_are_refused(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        read_every(text, seconds=False)
    assert error.value.hint == hint


def test_a_timer_supports_seconds() -> None:
    assert [read_every(text, seconds=True) for text in ("10s", "7m", "1m30s", "1s")] == [10, 420, 90, 1]


def test_intervals_as_people_write_them() -> None:
    assert [write_every(seconds) for seconds in (10, 60, 90, 300, 3600, 86400)] == [
        "10s", "1m", "90s", "5m", "1h", "24h",
    ]  # fmt: skip


HERE = timezone(timedelta(hours=5, minutes=45))


@pytest.mark.parametrize(
    ("every", "now", "due"),
    [
        (60, "10:00:00", "10:01:00"),
        (60, "10:00:59", "10:01:00"),
        (300, "10:04:59", "10:05:00"),
        (300, "10:05:00", "10:10:00"),
        (1800, "10:31:00", "11:00:00"),
        (3600, "10:31:00", "11:00:00"),
        (8 * 3600, "10:31:00", "16:00:00"),
    ],
)
def test_cron_is_due_by_local_time(every: int, now: str, due: str) -> None:
    for kind in ("cron.d", "crontab"):
        at = datetime.fromisoformat(f"2031-05-06T{now}").replace(tzinfo=HERE)
        assert next_due(kind, every, at, None) == datetime.fromisoformat(f"2031-05-06T{due}").replace(tzinfo=HERE)  # type: ignore[arg-type]


def test_the_last_pass_of_a_day_is_followed_by_one_at_midnight() -> None:
    late = datetime(2031, 12, 31, 23, 59, 30, tzinfo=HERE)
    for every in (60, 86400):
        assert next_due("cron.d", every, late, late) == datetime(2032, 1, 1, tzinfo=HERE)


def test_a_timer_counts_from_the_last_pass() -> None:
    now = datetime(2031, 5, 6, 10, 0, 0, tzinfo=UTC)
    assert next_due("systemd", 10, now, now - timedelta(seconds=4)) == now + timedelta(seconds=6)
    assert next_due("systemd", 10, now, now - timedelta(seconds=40)) == now
    assert next_due("systemd --user", 10, now, None) == now
    assert last_pass([]) is None


def test_when_a_pass_is_overdue() -> None:
    now = datetime(2031, 5, 6, 10, 0, 0, tzinfo=UTC)

    def ago(seconds: int) -> datetime:
        return now - timedelta(seconds=seconds)

    assert overdue(60, now, ago(180), None) is None
    assert overdue(60, now, ago(181), None) == timedelta(seconds=181)
    assert overdue(60, now, ago(9999), ago(100)) is None, "it was installed 100 s ago"
    assert overdue(60, now, None, ago(200)) == timedelta(seconds=200)
    assert overdue(60, now, None, None) is None
