"""Traffic states as words of routes.map. Pure.

A state is one word, so that it changes at once: the slot that gets all requests, such as `blue`, or, when there is more
to say, the fields LIVE:CANDIDATE:SHARE:FALLBACK:PREVIEW:HELD:PATIENCE. PREVIEW is the previewed slot, HELD and PATIENCE
are milliseconds, and `none` means nothing.
"""

from __future__ import annotations

import re
from typing import cast

from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.traffic.state import TrafficState

NONE = "none"
_SLOT = "(none|blue|green)"
_FIELDS = re.compile(rf"{_SLOT}:{_SLOT}:([0-9]{{1,4}}):{_SLOT}:{_SLOT}:([0-9]{{1,10}}):([0-9]{{1,10}})")


def written(state: TrafficState) -> str | None:
    """The word for a state; None for the state without traffic, which has no entry."""
    if state == TrafficState(state.live):
        return state.live
    preview = state.candidate if state.preview else None
    slots = [each or NONE for each in (state.live, state.candidate, state.fallback, preview)]
    live, candidate, fallback, previewed = slots
    times = [f"{round(seconds * 1000)}" for seconds in (state.held, state.patience)]
    return ":".join([live, candidate, str(state.share), fallback, previewed, *times])


def read(text: str) -> TrafficState | None:
    """The state of a word; None when it is damaged."""
    if text in SLOTS:
        return TrafficState(text)
    found = _FIELDS.fullmatch(text)
    if found is None:
        return None
    live, candidate, fallback, previewed = (_slot(found[number]) for number in (1, 2, 4, 5))
    try:
        state = TrafficState(
            live,
            candidate,
            int(found[3]),
            shield=fallback is not None,
            preview=previewed is not None,
            held=int(found[6]) / 1000,
            patience=int(found[7]) / 1000,
        )
    except ValueError:
        return None
    return state if written(state) == text else None


def _slot(text: str) -> Slot | None:
    return None if text == NONE else cast(Slot, text)
