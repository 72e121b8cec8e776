"""Traffic states as words of routes.map."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.haproxy import words
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.traffic.state import ALL, TrafficState

# The map has whole milliseconds, of at most ten digits.
_seconds = st.integers(0, 10**10 - 1).map(lambda milliseconds: milliseconds / 1000)
_slots: st.SearchStrategy[Slot | None] = st.sampled_from([None, *SLOTS])


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
    )


@given(states())
def test_a_word_says_the_whole_state(state: TrafficState) -> None:
    text = words.written(state)
    if text is None:
        assert state == TrafficState()
        return
    assert words.read(text) == state
    # It is one value of a map.
    assert len(text.split()) == 1


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
    # No state says this.
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
    # The last field has no end: without its last digits it may be another number.
    assert words.read(cut) is None or cut.rpartition(":")[0] == text.rpartition(":")[0] or ":" not in cut


@given(st.text(max_size=40))
def test_any_text_is_one_state_or_none(text: str) -> None:
    state = words.read(text)
    assert state is None or words.written(state) == text
