"""Traffic states as words of routes.map. Pure.

A state is one word, so that it changes at once: the slot that gets all requests, such as `blue`, or, when there is more
to say, the fields LIVE:CANDIDATE:SHARE:FALLBACK:PREVIEW:HELD:PATIENCE. PREVIEW is the previewed slot, HELD and PATIENCE
are milliseconds, and `none` means nothing.

In maintenance, the fields WAIT:RETRY follow: for how many milliseconds requests wait at most, and the seconds of
Retry-After. The message is a word of another map, messages.map, in the encoding of URLs: it may have any character.

A SHARE of -1 means that CANDIDATE is no candidate, but the slot that keeps the sessions that began there.
"""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import quote, unquote

from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.traffic.state import TrafficState

NONE = "none"
_SLOT = "(none|blue|green)"
_TIME = "([0-9]{1,10})"
_CLOSED = f":{_TIME}:([1-9][0-9]{{0,9}})"
_KEPT = -1
_SHARES = f"{_SLOT}:{_SLOT}:([0-9]{{1,4}}|{_KEPT}):{_SLOT}:{_SLOT}"
_FIELDS = re.compile(f"{_SHARES}:{_TIME}:{_TIME}(?:{_CLOSED})?")


def written(state: TrafficState) -> str | None:
    """The word for a state; None for the state without traffic, which has no entry."""
    if state == TrafficState(state.live):
        return state.live
    preview = state.candidate if state.preview else None
    slots = [each or NONE for each in (state.live, state.kept or state.candidate, state.fallback, preview)]
    live, candidate, fallback, previewed = slots
    times = [f"{round(seconds * 1000)}" for seconds in (state.held, state.patience)]
    if state.maintenance is not None:
        times += [f"{round(state.maintenance.hold * 1000)}", f"{state.maintenance.retry_after}"]
    share = _KEPT if state.kept is not None else state.share
    return ":".join([live, candidate, str(share), fallback, previewed, *times])


def message(state: TrafficState) -> str | None:
    """The word of messages.map for a state; None outside of maintenance."""
    return None if state.maintenance is None else quote(state.maintenance.message, safe="")


def read(text: str, message: str = "") -> TrafficState | None:
    """The state of a word, with the message that is a word of messages.map; None when the former is damaged."""
    if text in SLOTS:
        return TrafficState(text)
    found = _FIELDS.fullmatch(text)
    if found is None:
        return None
    live, candidate, fallback, previewed = (_slot(found[number]) for number in (1, 2, 4, 5))
    share = int(found[3])
    sessions = share == _KEPT
    try:
        state = TrafficState(
            live,
            None if sessions else candidate,
            0 if sessions else share,
            shield=fallback is not None,
            preview=previewed is not None,
            held=int(found[6]) / 1000,
            patience=int(found[7]) / 1000,
            maintenance=_maintenance(found[8], found[9], message),
            sessions=sessions,
        )
    except ValueError:
        return None
    return state if written(state) == text else None


def _maintenance(wait: str | None, retry: str | None, message: str) -> Maintenance | None:
    if wait is None or retry is None:
        return None
    return Maintenance(unquote(message), int(retry), int(wait) / 1000)


def _slot(text: str) -> Slot | None:
    return None if text == NONE else cast(Slot, text)
