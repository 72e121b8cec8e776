"""Maintenance: what a message, a wait and Retry-After may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.traffic.maintenance import (
    MESSAGE,
    Maintenance,
    checked_hold,
    checked_message,
    whole_seconds,
)
from orchestrator.domain.traffic.state import TrafficState

CLOSED = Maintenance()


@pytest.mark.parametrize("text", [MESSAGE, "x", "x" * 500, 'größer 模型 "%" \\ ; <<', "🚧"])
def test_any_line_of_text_is_a_message(text: str) -> None:
    assert checked_message(text) == checked_message(f"  {text} ") == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("x" * 501, "has 501 characters, at most 500 are allowed"),
        ("a\nb", "has the character U\\+000A"),
        ("a\r", "U\\+000D"),
        ("a\0b", "U\\+0000"),
        ("a\x1b[31m", "U\\+001B"),
        ("a\x85b", "U\\+0085"),
        ("a\u2028b", "U\\+2028"),
        ("a\u202eb", "U\\+202E"),
        ("a\ud800b", "U\\+D800"),
    ],
)
def test_what_is_no_line_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_message(text)


def test_a_request_waits_for_at_most_ten_minutes() -> None:
    assert checked_hold(600.0) == 600.0
    with pytest.raises(ValueError, match="at most 10 minutes"):
        checked_hold(600.1)


@pytest.mark.parametrize(("seconds", "whole"), [(0.001, 1), (1.0, 1), (1.001, 2), (3600.0, 3600)])
def test_retry_after_is_rounded_up(seconds: float, whole: int) -> None:
    assert whole_seconds(seconds) == whole


def test_in_words() -> None:
    assert str(CLOSED) == "requests get 503: this app is in maintenance"
    assert str(replace(CLOSED, hold=90.0)) == "requests wait for at most 90s, then get 503: this app is in maintenance"
    assert str(TrafficState("blue", maintenance=CLOSED)) == "blue, in maintenance"


# --- in a traffic state ------------------------------------------------------------------------------------------


def test_it_needs_a_live_version() -> None:
    with pytest.raises(ValueError, match="maintenance needs a live version"):
        TrafficState(maintenance=CLOSED)


@pytest.mark.parametrize("before", [TrafficState(), TrafficState("green"), TrafficState("blue", "green", 500)])
@pytest.mark.parametrize("state", [TrafficState("blue"), TrafficState("green", shield=True, patience=1.0)])
@pytest.mark.parametrize("maintenance", [None, CLOSED])
def test_a_state_takes_over_the_maintenance(
    state: TrafficState, before: TrafficState, maintenance: Maintenance | None
) -> None:
    if before.live is not None:
        before = replace(before, maintenance=maintenance)
    own = replace(state, maintenance=Maintenance("its own"))
    assert state.keeping(before) == own.keeping(before) == replace(state, maintenance=before.maintenance)
    assert TrafficState().keeping(before) == TrafficState()


def test_it_changes_neither_shares_nor_needs() -> None:
    state = TrafficState("green", shield=True, patience=1.0)
    closed = replace(state, maintenance=CLOSED)
    assert closed.same_shares(state)
    assert closed.unshielded == replace(state.unshielded, maintenance=CLOSED)
    assert [closed.needs(slot) for slot in ("blue", "green")] == [True, True]
