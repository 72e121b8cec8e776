"""Judging a version by its traffic: few false alarms, few bad versions missed."""

from __future__ import annotations

import random

import pytest

from orchestrator.domain.traffic.comparison import WINDOW, Limits, Traffic, between, judge, tail
from orchestrator.domain.traffic.sample import Sample

LIMITS = Limits()
OLD = Traffic(20_000, 200, 0.020, 0.001)


class Worker:
    """Counts like HAProxy: a sliding mean over the last requests, in whole milliseconds."""

    def __init__(self) -> None:
        self.requests, self.errors, self._mean = 0, 0, 0.0

    def serve(self, count: int, seconds: float, errors: int = 0) -> Sample:
        for _ in range(count):
            self.requests += 1
            self._mean += (seconds - self._mean) / min(self.requests, WINDOW)
        self.errors += errors
        return Sample(self.requests, self.errors, round(self._mean, 3))


def bake(chooser: random.Random, rate: float, total: int, looks: int, old: Traffic | None = OLD) -> str:
    """The verdict of a bake with many looks; the first bad verdict ends it."""
    errors, verdict = 0, "inconclusive"
    for look in range(1, looks + 1):
        errors += sum(chooser.random() < rate for _ in range(total // looks))
        verdict = judge(Traffic(look * (total // looks), errors, 0.020, 0.001), old, LIMITS).verdict
        if verdict == "bad":
            break
    return verdict


@pytest.mark.parametrize("requests", [2_000, 20_000])
def test_a_version_as_good_as_the_old_one_is_not_bad(requests: int) -> None:
    chooser = random.Random(1)
    verdicts = [bake(chooser, 0.01, requests, 120) for _ in range(200)]
    assert verdicts.count("bad") <= 1
    assert verdicts.count("good") >= 199


def test_a_reference_of_few_requests_gives_no_more_false_alarms() -> None:
    chooser = random.Random(2)
    bad = 0
    for _ in range(200):
        old = Traffic(200, sum(chooser.random() < 0.01 for _ in range(200)), 0.02, 0.001)
        bad += bake(chooser, 0.01, 2_000, 120, old) == "bad"
    assert bad <= 1


def test_five_percent_more_errors_are_caught() -> None:
    chooser = random.Random(3)
    caught = [bake(chooser, 0.06, 2_000, 120) for _ in range(100)].count("bad")
    assert caught >= 95
    old = Traffic(2_000, 20, 0.02, 0.001)
    assert [bake(chooser, 0.06, 2_000, 120, old) for _ in range(100)].count("bad") >= 95


@pytest.mark.parametrize("old", [OLD, None])
def test_many_failures_are_bad_as_soon_as_there_are_enough_requests(old: Traffic | None) -> None:
    assert judge(Traffic(100, 30, 0.02, 0.001), old, LIMITS).verdict == "bad"


def test_little_traffic_is_inconclusive() -> None:
    assert judge(Traffic(), OLD, LIMITS).verdict == "inconclusive"
    assessment = judge(Traffic(99, 99, 5.0, 0.0), OLD, LIMITS)
    assert (assessment.verdict, assessment.why) == ("inconclusive", "99 requests, 100 are needed to judge")


def test_a_version_no_worse_than_a_bad_predecessor_is_good() -> None:
    assert judge(Traffic(2_000, 200, 0.02, 0.001), Traffic(2_000, 200, 0.02, 0.001), LIMITS).verdict == "good"
    assert judge(Traffic(2_000, 200, 0.02, 0.001), None, LIMITS).verdict == "bad"


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (0.020, 0.200, "bad"),
        (0.020, 0.050, "good"),
        (0.001, 0.008, "good"),  # eight times as long, but only 7 ms more
        (0.001, 0.050, "bad"),
    ],
)
def test_response_times_compared_with_the_old_ones(old: float, new: float, verdict: str) -> None:
    assert judge(Traffic(500, 0, new, 0.001), Traffic(500, 0, old, 0.0005), LIMITS).verdict == verdict


def test_the_limit_of_the_response_time() -> None:
    limits = Limits(max_latency=0.1)
    assessment = judge(Traffic(500, 0, 0.2, 0.001), None, limits)
    assert assessment.verdict == "bad"
    assert assessment.why == "0.0% of 500 requests failed, 200 ms on average; at most 100 ms are allowed"
    assert judge(Traffic(500, 0, 0.1005, 0.001), None, limits).verdict == "good"


def test_the_reason_shows_both_versions() -> None:
    assessment = judge(Traffic(400, 120, 0.021, 0.001), OLD, LIMITS)
    assert assessment.why == (
        "30.0% of 400 requests failed, 21 ms on average"
        " (before the switch 1.0% of 20,000 requests failed, 20 ms on average); at most 2.2% may fail"
    )


# --- reading the counters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 10, 500, 5_000])
@pytest.mark.parametrize("count", [100, 600, 5_000])
def test_the_traffic_of_a_version_is_computed_from_its_slots_counters(before: int, count: int) -> None:
    worker = Worker()
    first = worker.serve(before, 0.010, errors=before // 2)
    last = worker.serve(count, 0.100, errors=7)
    traffic = between({"8": first}, {"8": last})
    assert (traffic.requests, traffic.errors) == (count, 7)
    assert traffic.mean is not None
    assert abs(traffic.mean - 0.100) <= traffic.slack
    assert traffic.slack < 0.006


def test_the_counters_of_workers_are_added() -> None:
    old, new, gone = Worker(), Worker(), Worker()
    before = {"8": old.serve(200, 0.010), "7": gone.serve(50, 0.010)}
    after = {"8": old.serve(300, 0.020, errors=3), "21": new.serve(100, 0.060, errors=1)}
    traffic = between(before, after)
    assert (traffic.requests, traffic.errors) == (400, 4)
    assert traffic.mean == pytest.approx(0.030, abs=0.002)


def test_a_restarted_worker_counts_from_zero() -> None:
    assert between({"8": Sample(5_000, 10, 0.5)}, {"8": Sample(100, 1, 0.02)}).requests == 100


def test_no_requests() -> None:
    same = {"8": Sample(5, 0, 0.1)}
    assert between(same, same) == Traffic()
    assert between(same, {}) == Traffic()
    assert str(Traffic()) == "no requests"


@pytest.mark.parametrize(
    ("count", "hits", "probability", "expected"),
    [(10, 0, 0.5, 1.0), (10, 10, 0.5, 2**-10), (3, 2, 0.25, 0.15625), (5, 1, 0.0, 0.0), (5, 1, 1.0, 1.0)],
)
def test_the_tail_of_a_binomial_distribution(count: int, hits: int, probability: float, expected: float) -> None:
    assert tail(count, hits, probability) == pytest.approx(expected)


def test_the_tail_of_a_million_requests() -> None:
    assert 0 <= tail(1_000_000, 60_000, 0.05) < 1e-9
