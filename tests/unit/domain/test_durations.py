"""Durations, from text to seconds and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain import durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("1ms", 0.001), ("1.5s", 1.5), ("1m30s", 90), ("2h", 7200), ("30d", 2592000)]
)
def test_durations(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *[(text, "expected a duration") for text in ["", "5", "s", "5 s", "-5s", "5S", "٥s", "5s\n", "0" * 64 + "s"]],
        ("31d", "must be at most 30d"),
        ("0.9ms", "must be at least 1ms"),
    ],
)
def test_not_durations(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.001, "0.001s"), (1.5, "1.5s"), (90, "90s"), (300, "5m"), (5400, "90m"), (7200, "2h")],
)
def test_written(seconds: float, text: str) -> None:
    assert durations.written(seconds) == text


@settings(max_examples=200, deadline=None)
@given(st.just(0.0) | st.floats(0.001, durations.LONGEST) | st.integers(1, int(durations.LONGEST)).map(float))
def test_what_is_written_is_read_as_the_same(seconds: float) -> None:
    assert durations.parse(durations.written(seconds)) == seconds
