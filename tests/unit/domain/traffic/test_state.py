"""Traffic states: the share of each slot, and which slots must keep running."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.traffic.slot import SLOTS, Slot, other
from orchestrator.domain.traffic.state import ALL, TrafficState

STATES = [
    TrafficState(),
    *(TrafficState(live=slot) for slot in SLOTS),
    *(TrafficState(live=slot, shield=True) for slot in SLOTS),
    *(
        TrafficState(live=slot, candidate=other(slot), share=share, shield=shield, preview=preview)
        for slot in SLOTS
        for share in (0, 1, 500, ALL - 1)
        for shield in (False, True)
        for preview in (False, True)
    ),
]
every = pytest.mark.parametrize("state", STATES, ids=str)


@every
def test_the_shares_sum_to_all_requests_or_none(state: TrafficState) -> None:
    assert sum(state.share_of(slot) for slot in SLOTS) == (ALL if state.live else 0)


@every
def test_a_slot_with_a_share_is_needed(state: TrafficState) -> None:
    for slot in SLOTS:
        if state.share_of(slot) or slot == state.live:
            assert state.needs(slot)


@every
def test_a_fallback_is_needed_and_is_not_the_newer_slot(state: TrafficState) -> None:
    assert (state.fallback is not None) == state.shield
    if state.fallback is not None:
        assert state.needs(state.fallback)
        newer = state.candidate or state.live
        assert state.fallback != newer


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_without_a_share_is_not_needed(slot: Slot) -> None:
    assert not TrafficState().needs(slot)
    assert not TrafficState(live=slot).needs(other(slot))
    assert not TrafficState(live=slot, candidate=other(slot)).needs(other(slot)), "ready, without a share"


def test_a_previewed_candidate_is_needed() -> None:
    assert TrafficState(live="blue", candidate="green", preview=True).needs("green")


def test_a_candidate_is_shielded_by_the_live_version() -> None:
    assert TrafficState(live="blue", candidate="green", share=500, shield=True).fallback == "blue"
    assert TrafficState(live="green", shield=True).fallback == "blue"


@pytest.mark.parametrize("shield", [True, False])
def test_a_slot_that_keeps_sessions_is_needed(shield: bool) -> None:
    state = TrafficState(live="green", shield=shield, sessions=True)
    assert (state.kept, state.older, state.needs("blue"), state.share_of("blue")) == ("blue", "blue", True, 0)
    assert state.unshielded == TrafficState(live="green")
    assert not state.unshielded.needs("blue")
    assert TrafficState(live="green").older is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"live": "blue", "candidate": "blue"},
        {"live": "blue", "candidate": "green", "share": ALL},
        {"live": "blue", "candidate": "green", "share": -1},
        {"live": "blue", "share": 1},
        {"shield": True},
        {"sessions": True},
        {"live": "blue", "candidate": "green", "sessions": True},
    ],
)
def test_invalid_states_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"share|live"):
        TrafficState(**wrong)


def test_states_are_compared_by_their_shares() -> None:
    assert TrafficState(live="blue").same_shares(TrafficState(live="blue", shield=True))
    assert not TrafficState(live="blue").same_shares(TrafficState(live="green"))
    assert not TrafficState(live="blue").same_shares(TrafficState(live="blue", candidate="green", share=1))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (TrafficState(), "no slot"),
        (TrafficState(live="blue"), "blue"),
        (TrafficState(live="green", shield=True), "green, shielded by blue"),
        (TrafficState(live="green", sessions=True), "green, with sessions on blue"),
        (TrafficState(live="blue", candidate="green", share=525), "blue, 5.25 % to green"),
    ],
)
def test_a_state_in_words(state: TrafficState, words: str) -> None:
    assert str(state) == words
