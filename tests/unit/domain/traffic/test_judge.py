"""The judge: the exact evidence, and one test for each question."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.traffic.anytime import log_evidence
from orchestrator.domain.traffic.judge import Counts, Evidence, Limits, Stage, judge, routing_fault, verdict

VECTORS = json.loads(Path(__file__).with_name("judge_vectors.json").read_text())
LIMITS = Limits()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: f"{each['hits']}-{each['misses']}-{each['theta0']}")
def test_the_evidence_has_known_values(vector: dict[str, float]) -> None:
    found = log_evidence(int(vector["hits"]), int(vector["misses"]), vector["theta0"])
    assert math.isclose(found, vector["log_e"], rel_tol=1e-9, abs_tol=1e-12)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(1e-4, 0.9999))
def test_the_evidence_is_finite_and_grows_with_the_hits(hits: int, misses: int, limit: float) -> None:
    found = log_evidence(hits, misses, limit)
    assert math.isfinite(found)
    if hits + misses and hits / (hits + misses) > limit:
        assert log_evidence(hits + 10, misses, limit) > found


@given(st.integers(0, 10**5), st.integers(0, 10**5), st.floats(1e-4, 0.9999))
def test_the_evidence_never_grows_with_the_misses(hits: int, misses: int, limit: float) -> None:
    assert log_evidence(hits, misses + 1, limit) <= log_evidence(hits, misses, limit) + 1e-9


def stage(share: float, new: tuple[int, int, int], old: tuple[int, int, int]) -> Stage:
    return Stage(share, Counts(*new), Counts(*old))


def of(question: str, *stages: Stage) -> Evidence:
    return next(each for each in judge(stages, LIMITS) if each.question == question)


def test_a_version_that_fails_too_much_is_bad_by_itself() -> None:
    # The old version fails as often: only the rate itself is too high.
    found = of("failure rate", stage(0.5, (200, 40, 0), (200, 40, 0)))
    assert (found.hits, found.misses, found.verdict) == (40, 160, "bad")
    assert of("failure ratio", stage(0.5, (200, 40, 0), (200, 40, 0))).verdict == "inconclusive"


def test_a_version_that_fails_more_than_the_other_is_bad() -> None:
    found = of("failure ratio", stage(0.1, (1000, 40, 0), (9000, 90, 0)))
    assert (found.hits, found.misses, found.verdict) == (40, 90, "bad")
    assert of("failure rate", stage(0.1, (1000, 40, 0), (9000, 90, 0))).verdict != "bad"


def test_a_version_that_is_slower_than_the_other_is_bad() -> None:
    assert of("latency ratio", stage(0.1, (1000, 0, 300), (9000, 0, 900))).verdict == "bad"
    # Both are slower than usual.
    assert of("latency ratio", stage(0.1, (1000, 0, 700), (9000, 0, 6300))).verdict == "inconclusive"


def test_a_version_without_failures_is_proven_good() -> None:
    assert of("failure rate", stage(0.1, (20, 0, 0), (180, 0, 0))).verdict == "inconclusive"
    assert of("failure rate", stage(0.1, (200, 0, 0), (1800, 0, 0))).verdict == "good"
    assert verdict(judge([stage(0.1, (200, 0, 0), (1800, 0, 0))], LIMITS)) == "good"
    assert verdict(judge([], LIMITS)) == "inconclusive"


def test_less_than_two_percent_is_proven_by_233_requests_without_a_failure() -> None:
    limits = Limits(max_error_rate=0.02)
    counts = next(
        count for count in range(1, 1000) if verdict(judge([stage(0.5, (count, 0, 0), (0, 0, 0))], limits)) == "good"
    )
    assert counts == 233


def test_the_evidence_of_stages_adds_up() -> None:
    first, second = stage(0.05, (100, 6, 0), (1900, 10, 0)), stage(0.25, (100, 6, 0), (300, 2, 0))
    for question in ("failure rate", "failure ratio", "latency ratio"):
        alone = of(question, first).log_bad + of(question, second).log_bad
        assert math.isclose(of(question, first, second).log_bad, alone)


def test_at_full_share_only_the_rate_is_judged() -> None:
    found = judge([stage(1.0, (1000, 0, 900), (0, 0, 0))], LIMITS)
    assert [(each.question, each.hits + each.misses) for each in found] == [
        ("failure rate", 1000),
        ("failure ratio", 0),
        ("latency ratio", 0),
    ]


@pytest.mark.parametrize("candidate", [150, 10])
def test_another_share_than_the_configured_one_is_a_routing_fault(candidate: int) -> None:
    assert routing_fault([stage(0.05, (50, 0, 0), (950, 0, 0))], LIMITS) is None
    found = routing_fault([stage(0.05, (candidate, 0, 0), (1000 - candidate, 0, 0))], LIMITS)
    assert found is not None
    assert (found.question, found.hits, found.misses, found.verdict) == ("share", candidate, 1000 - candidate, "bad")


def test_with_sticky_sessions_versions_are_compared_by_the_requests_that_they_got() -> None:
    """A few sessions made half of the requests, at a share of 5 %: both versions fail equally often."""
    same = stage(0.05, (10_000, 200, 300), (10_000, 200, 300))
    words = {each.question: each.verdict for each in judge([same], LIMITS)}
    assert (words["failure ratio"], words["latency ratio"]) == ("bad", "bad")
    sticky = replace(LIMITS, sticky=True)
    words = {each.question: each.verdict for each in judge([same], sticky)}
    assert (words["failure ratio"], words["latency ratio"]) == ("inconclusive", "inconclusive")
    worse = stage(0.05, (10_000, 400, 300), (10_000, 100, 300))
    assert verdict(judge([worse], sticky)) == "bad"
    # Most sessions are still those of the old version.
    late = stage(0.5, (200, 40, 0), (10_000, 100, 0))
    assert {each.question: each.verdict for each in judge([late], sticky)}["failure ratio"] == "bad"
    assert judge([stage(0.05, (0, 0, 0), (100, 5, 5))], sticky)[1].hits == 0
