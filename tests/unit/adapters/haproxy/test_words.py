"""Traffic states as words of routes.map."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.haproxy import words
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.traffic.state import ALL, TrafficState

# The map has whole milliseconds, of at most ten digits.
_seconds = st.integers(0, 10**10 - 1).map(lambda milliseconds: milliseconds / 1000)
_slots: st.SearchStrategy[Slot | None] = st.sampled_from([None, *SLOTS])


# Any text that UTF-8 has.
_maintenances = st.builds(
    Maintenance, st.text(st.characters(codec="utf-8"), min_size=1, max_size=500), st.integers(1, 10**10 - 1), _seconds
)


@st.composite
def states(draw: st.DrawFn) -> TrafficState:
    """Any state that can be."""
    live = draw(_slots)
    candidate = draw(_slots.filter(lambda slot: slot is None or slot != live))
    shield = live is not None and draw(st.booleans())
    return TrafficState(
        live,
        candidate,
        draw(st.integers(0, ALL - 1)) if candidate else 0,
        shield=shield,
        preview=candidate is not None and draw(st.booleans()),
        held=draw(_seconds),
        patience=draw(_seconds) if shield else 0.0,
        maintenance=draw(st.none() | _maintenances) if live is not None else None,
        sessions=live is not None and candidate is None and draw(st.booleans()),
    )


@given(states())
def test_a_word_says_the_whole_state(state: TrafficState) -> None:
    text = words.written(state)
    if text is None:
        assert state == TrafficState()
        return
    message = words.message(state)
    assert (message is None) == (state.maintenance is None)
    assert words.read(text, message or "") == state
    # Each is one value of a map, and nothing in it means anything to HAProxy.
    for each in (text, message or "none"):
        assert re.fullmatch("[A-Za-z0-9:_.~%-]+", each)


@pytest.mark.parametrize("slot", SLOTS)
def test_a_state_at_rest_is_just_the_slot(slot: Slot) -> None:
    assert words.written(TrafficState(slot)) == slot
    assert words.read(slot) == TrafficState(slot)


def test_no_traffic_has_no_word() -> None:
    assert words.written(TrafficState()) is None


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (TrafficState("blue", shield=True), "blue:none:0:green:none:0:0"),
        (TrafficState("green", shield=True, patience=30.0), "green:none:0:blue:none:0:30000"),
        (TrafficState("blue", "green", 500, shield=True, patience=0.25), "blue:green:500:blue:none:0:250"),
        (TrafficState("blue", "green", 9_999), "blue:green:9999:none:none:0:0"),
        (TrafficState("blue", "green", preview=True), "blue:green:0:none:green:0:0"),
        (TrafficState(None, "blue", preview=True), "none:blue:0:none:blue:0:0"),
        (TrafficState("green", held=60.0), "green:none:0:none:none:60000:0"),
        (TrafficState(held=60.0), "none:none:0:none:none:60000:0"),
        (TrafficState("blue", maintenance=Maintenance("", 30)), "blue:none:0:none:none:0:0:0:30"),
        (TrafficState("blue", held=5.0, maintenance=Maintenance("", 1, 2.5)), "blue:none:0:none:none:5000:0:2500:1"),
    ],
)
def test_the_fields_have_the_order_that_the_rules_read(state: TrafficState, text: str) -> None:
    assert words.written(state) == text
    assert words.read(text) == state


DAMAGED = [
    "",
    "none",
    "red",
    "Blue",
    "blue ",
    " blue",
    "blue\n",
    "blue:",
    "blu",
    "\0\0\0\0",
    # A field is missing, too much, or no number.
    "blue:green:500:blue:none:0",
    "blue:green:500:blue:none:0:0:0",
    "blue:green:500:blue:none:0:",
    "blue:green:-1:blue:none:0:0",
    "blue:green:5e2:blue:none:0:0",
    "blue:green:٥:blue:none:0:0",
    "blue:green:500:blue:none:0:0\n",
    "blue:green:500:blue:none:0:99999999999",
    "blue:green:500:blue:none:0:0:0:",
    "blue:green:500:blue:none:0:0:0:0",
    "blue:green:500:blue:none:0:0:0:09",
    "blue:green:500:blue:none:0:0:00:9",
    "blue:green:500:blue:none:0:0:0:9:0",
    # No state says this.
    "none:none:0:none:none:60000:0:0:30",
    "blue:blue:500:blue:none:0:0",
    "blue:none:500:none:none:0:0",
    "blue:green:10000:none:none:0:0",
    "none:green:500:blue:none:0:0",
    "blue:none:0:none:none:0:30000",
    "blue:none:0:none:green:0:0",
    # The fallback is not the older version; another slot than the candidate is previewed.
    "blue:none:0:blue:none:0:0",
    "blue:green:500:green:none:0:0",
    "blue:green:500:blue:blue:0:0",
    # There is a shorter way to write it.
    "blue:none:0:none:none:0:0",
    "none:none:0:none:none:0:0",
    "blue:green:0500:blue:none:0:0",
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_word_says_nothing(text: str) -> None:
    assert words.read(text) is None


@given(states(), st.data())
def test_what_is_left_of_a_word_is_no_other_state(state: TrafficState, data: st.DataObject) -> None:
    text = words.written(state) or ""
    cut = text[: data.draw(st.integers(0, max(0, len(text) - 1)))]
    # The last field has no end: without its last digits it may be another number. Without its last two fields, a word
    # says nothing of the maintenance, and the one before them has no end either.
    assert words.read(cut) is None or cut.count(":") in {0, 6, text.count(":")}


@given(st.text(max_size=40))
def test_any_text_is_one_state_or_none(text: str) -> None:
    state = words.read(text)
    assert state is None or words.written(state) == text
