"""The traffic of a version, from the counters of the edge."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.traffic.counted import Reading, Traffic, as_json, between, from_json
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import SLOTS

NOTHING = Sample(0, 0, 0, {})


def reading(worker: str = "8-100", **slots: Sample) -> Reading:
    return {worker: {slot: slots[slot] for slot in SLOTS if slot in slots}}


def test_the_traffic_of_a_version_is_what_came_after_the_first_reading() -> None:
    before = reading(blue=Sample(9_000, 9_000, 40, {"50/6": 3}), green=Sample(7, 0, 0, {"11/4": 7}))
    after = reading(blue=Sample(9_100, 9_010, 48, {"50/6": 4, "12/5": 89}), green=Sample(9, 1, 0, {"11/4": 8}))
    assert between(before, after, "blue") == Traffic(100, 10, 8, {"50/6": 1, "12/5": 89})
    assert between(before, after, "green") == Traffic(2, 1, 0, {"11/4": 1})


def test_the_counters_of_workers_are_added() -> None:
    before = {**reading("8-1", blue=Sample(200, 1, 0, {"10/5": 199})), **reading("7-1", blue=Sample(50, 0, 0, {}))}
    # One worker has ended, another one was started meanwhile; its counters began at zero.
    after = {
        **reading("8-1", blue=Sample(500, 4, 1, {"10/5": 496})),
        **reading("21-9", blue=Sample(100, 1, 1, {"10/5": 90, "60/5": 9})),
    }
    assert between(before, after, "blue") == Traffic(400, 4, 2, {"10/5": 387, "60/5": 9})


def test_a_restarted_worker_counts_from_zero() -> None:
    before, after = reading(blue=Sample(5_000, 10, 3, {"50/6": 9})), reading(blue=Sample(100, 1, 0, {"20/5": 99}))
    assert between(before, after, "blue") == Traffic(100, 1, 0, {"20/5": 99})


def test_a_worker_that_did_not_have_the_slot_counts_from_zero() -> None:
    assert between(reading(green=NOTHING), reading(blue=Sample(3, 1, 0, {})), "blue") == Traffic(3, 1, 0, {})
    assert between({}, reading(green=Sample(3, 1, 0, {})), "blue") == Traffic()


def test_no_requests() -> None:
    same = reading(blue=Sample(5, 0, 0, {"10/5": 5}))
    assert between(same, same, "blue") == Traffic()
    assert between(same, {}, "blue") == Traffic()
    assert str(Traffic()) == "no requests"


@pytest.mark.parametrize(
    ("traffic", "lost", "text"),
    [
        (Traffic(400, 120, 0, {}), 120, "30.0% of 400 requests failed"),
        (Traffic(1_000, 0, 0, {"12/5": 1_000}), 0, "0.0% of 1,000 requests failed, 12 ms on average"),
        (
            Traffic(2_000, 1_500, 1_400, {"10/6": 250, "30/6": 250}),
            100,
            "75.0% of 2,000 requests failed (1,400 of them were answered by the other version), 205 ms on average",
        ),
        # The proxy reads its counters one after the other.
        (Traffic(10, 1, 2, {}), 0, "10.0% of 10 requests failed (2 of them were answered by the other version)"),
    ],
)
def test_what_was_counted_in_words(traffic: Traffic, lost: int, text: str) -> None:
    assert str(traffic) == text
    assert traffic.lost == lost


_counts = st.integers(0, 10_000)
_times = st.dictionaries(st.sampled_from(["7/1", "12/5", "99/6"]), st.integers(1, 999))
_samples = st.builds(Sample, _counts, _counts, _counts, _times)
_readings = st.dictionaries(st.sampled_from(["8", "8-100", "21-7"]), st.dictionaries(st.sampled_from(SLOTS), _samples))


@given(_readings)
def test_a_reading_is_stored_as_json(found: Reading) -> None:
    assert from_json(json.loads(json.dumps(as_json(found)))) == found


@given(_readings, _readings, st.sampled_from(SLOTS))
def test_no_traffic_is_negative(before: Reading, after: Reading, slot: str) -> None:
    traffic = between(before, after, "blue" if slot == "blue" else "green")
    assert min(traffic.requests, traffic.failures, traffic.rescued, traffic.lost) >= 0
    assert all(count > 0 for count in traffic.times.values())
