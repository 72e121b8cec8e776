"""Points in time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.moments import moment
from orchestrator.errors import UsageError

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20 14:05", "2026-11-20T14:05:00+00:00"),
        ("2026-11-20T14:05:06.789Z", "2026-11-20T14:05:06.789000+00:00"),
        ("2026-11-20T14:05+01:00", "2026-11-20T13:05:00+00:00"),
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
        ("06:30", "2031-05-06T06:30:00+00:00"),
        (" 06:30:15 ", "2031-05-06T06:30:15+00:00"),
    ],
)
def test_valid_times(text: str, expected: str) -> None:
    assert moment(text, NOW) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "25:00", "0001-01-01T00:00+23:59", "-1"])
def test_invalid_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        moment(text, NOW)


def test_a_time_in_the_future_is_refused() -> None:
    with pytest.raises(UsageError, match="is in the future") as caught:
        moment("2031-05-06 07:08:10", NOW)
    assert caught.value.why == "it is 2031-05-06 07:08:09 UTC"


def test_the_end_of_a_period_may_be_in_the_future() -> None:
    assert moment("2031-05-07", NOW, latest=True) == NOW
    assert moment("2031-05-06", NOW, latest=True) == moment("2031-05-06", NOW)


@given(st.text(max_size=20))
def test_any_text_gives_a_time_or_an_error(text: str) -> None:
    try:
        assert moment(text, NOW) <= NOW
    except UsageError as error:
        assert error.exit_code == 2
