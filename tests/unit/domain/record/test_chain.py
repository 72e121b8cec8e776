"""The chain of events: every change in it is detected."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.record import chain
from orchestrator.domain.record.chain import Event, broken_links, link, seal

LINES = st.lists(st.tuples(st.text(max_size=4), st.sampled_from(["live", "pruned"]), st.text(max_size=6)), max_size=6)


def chained(lines: list[tuple[str, str, str]]) -> list[Event]:
    events: list[Event] = []
    for number, (app, kind, detail) in enumerate(lines, 1):
        previous = events[-1].digest if events else chain.BEGINNING
        events.append(Event(number, "t", app, kind, detail, previous, link(previous, number, "t", app, kind, detail)))
    return events


@given(LINES)
def test_an_unchanged_chain_is_intact(lines: list[tuple[str, str, str]]) -> None:
    assert broken_links(chained(lines)) == []


@given(LINES.filter(bool), st.data())
def test_a_changed_field_is_detected_at_its_event(lines: list[tuple[str, str, str]], data: st.DataObject) -> None:
    events = chained(lines)
    at = data.draw(st.integers(0, len(events) - 1))
    name = data.draw(st.sampled_from(["at", "app", "kind", "detail", "previous", "digest"]))
    events[at] = replace(events[at], **{name: getattr(events[at], name) + "x"})
    problems = broken_links(events)
    assert problems
    assert problems[0].startswith(f"event {events[at].id} ")


@given(LINES.filter(lambda lines: len(lines) > 1), st.data())
def test_a_removed_or_moved_event_is_detected(lines: list[tuple[str, str, str]], data: st.DataObject) -> None:
    events = chained(lines)
    at = data.draw(st.integers(0, len(events) - 2))
    assert broken_links(events[:at] + events[at + 1 :])
    assert broken_links([*events[:at], events[at + 1], events[at], *events[at + 2 :]])


def test_an_empty_new_column_changes_no_seal() -> None:
    assert seal({"a": 1, "b": None, "c": ""}) == seal({"a": 1})
    assert seal({"a": 1}) != seal({"a": 2})
    assert seal({"a": 1}) != seal({"b": 1})
