"""The chain of events: whatever is changed in it is found."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.record import chain
from orchestrator.domain.record.chain import Event, breaks, link, seal

LINES = st.lists(st.tuples(st.text(max_size=4), st.sampled_from(["live", "pruned"]), st.text(max_size=6)), max_size=6)


def chained(lines: list[tuple[str, str, str]]) -> list[Event]:
    found: list[Event] = []
    for number, (app, kind, detail) in enumerate(lines, 1):
        previous = found[-1].digest if found else chain.BEGINNING
        found.append(Event(number, "t", app, kind, detail, previous, link(previous, number, "t", app, kind, detail)))
    return found


@given(LINES)
def test_a_chain_is_whole(lines: list[tuple[str, str, str]]) -> None:
    assert breaks(chained(lines)) == []


@given(LINES.filter(bool), st.data())
def test_a_change_of_any_field_is_found_where_it_is(lines: list[tuple[str, str, str]], data: st.DataObject) -> None:
    events = chained(lines)
    at = data.draw(st.integers(0, len(events) - 1))
    name = data.draw(st.sampled_from(["at", "app", "kind", "detail", "previous", "digest"]))
    events[at] = replace(events[at], **{name: getattr(events[at], name) + "x"})
    found = breaks(events)
    assert found
    assert found[0].startswith(f"event {events[at].id} ")


@given(LINES.filter(lambda lines: len(lines) > 1), st.data())
def test_one_that_is_taken_out_or_moved_is_missed(lines: list[tuple[str, str, str]], data: st.DataObject) -> None:
    events = chained(lines)
    at = data.draw(st.integers(0, len(events) - 2))
    assert breaks(events[:at] + events[at + 1 :])
    assert breaks([*events[:at], events[at + 1], events[at], *events[at + 2 :]])


def test_a_column_that_is_added_later_changes_no_seal() -> None:
    assert seal({"a": 1, "b": None, "c": ""}) == seal({"a": 1})
    assert seal({"a": 1}) != seal({"a": 2})
    assert seal({"a": 1}) != seal({"b": 1})
