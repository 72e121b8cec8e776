"""Histograms of response times: buckets, quantiles, thresholds and differences."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.traffic.latencies import difference, mean, quantile, ratio_threshold, slower_than, threshold

TIMES = st.lists(st.integers(0, 10**10), max_size=200)
SOME_TIMES = st.lists(st.integers(0, 10**10), min_size=1, max_size=200)
EDGES = st.builds(lambda first, zeros: first * 10**zeros, st.integers(0, 99), st.integers(0, 8))
HISTOGRAMS = st.dictionaries(
    st.builds(lambda time: f"{str(time)[:2]}/{len(str(time))}", st.integers(0, 10**10)), st.integers(0, 50), max_size=20
)


def counted(times: list[int]) -> Counter[str]:
    """The histogram of times in microseconds, as the proxy builds it: from the decimal text."""
    return Counter(f"{str(time)[:2]}/{len(str(time))}" for time in times)


# --- quantiles ---------------------------------------------------------------------------------------------------


def test_a_quantile_is_the_upper_edge_of_its_bucket() -> None:
    assert quantile({"12/5": 1}, 0.5) == 0.013


def test_the_last_bucket_of_a_decade_ends_where_the_next_begins() -> None:
    assert quantile({"99/5": 1}, 0.5) == 0.1


def test_times_below_ten_microseconds_have_one_digit() -> None:
    assert quantile({"7/1": 1}, 0.5) == 0.000008


def test_buckets_are_ordered_by_time_and_not_by_text() -> None:
    assert quantile({"9/1": 1, "10/6": 1, "99/2": 1}, 1.0) == 0.11


def test_nine_of_ten_answers_are_the_quantile_of_nine_tenths() -> None:
    assert quantile({"10/5": 9, "20/5": 1}, 0.9) == 0.011


def test_a_quantile_just_above_needs_the_next_answer() -> None:
    assert quantile({"10/5": 9, "20/5": 1}, 0.91) == 0.021


def test_seven_of_a_hundred_are_not_eight_because_of_rounding() -> None:
    # In floating point, 0.07 · 100 is 7.000000000000001.
    assert quantile({"10/5": 7, "20/5": 93}, 0.07) == 0.011


@pytest.mark.parametrize("histogram", [{}, {"12/5": 0}])
def test_without_an_answer_there_is_no_quantile(histogram: dict[str, int]) -> None:
    assert quantile(histogram, 0.5) is None


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_is_between_zero_and_one(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile({"12/5": 1}, q)


@given(SOME_TIMES, st.integers(0, 1000))
def test_a_quantile_is_above_the_exact_one_by_at_most_a_tenth(times: list[int], thousandths: int) -> None:
    exact = sorted(times)[max(0, -(-thousandths * len(times) // 1000) - 1)]
    found = quantile(counted(times), thousandths / 1000)
    assert found is not None
    assert exact < round(found * 1e6) <= max(exact * 1.1, exact + 1) + 1e-6


@given(TIMES, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_quantile_is_never_smaller(times: list[int], first: float, second: float) -> None:
    small, large = (quantile(counted(times), q) for q in sorted((first, second)))
    assert (small is None and large is None) or (small is not None and large is not None and small <= large)


# --- the mean ----------------------------------------------------------------------------------------------------


def test_the_mean_takes_the_middle_of_each_bucket() -> None:
    assert mean({"10/5": 3, "20/5": 1}) == 0.013  # three of 10.5 ms, one of 20.5 ms


def test_without_an_answer_there_is_no_mean() -> None:
    assert mean({}) is None


@given(SOME_TIMES)
def test_the_mean_is_close_to_the_exact_one(times: list[int]) -> None:
    exact = sum(times) / len(times)
    assert mean(counted(times)) == pytest.approx(exact / 1e6, rel=0.051, abs=0.6e-6)


# --- how many were slower ----------------------------------------------------------------------------------------


@given(TIMES, EDGES)
def test_how_many_were_slower_than_an_edge_is_exact(times: list[int], edge: int) -> None:
    assert slower_than(counted(times), edge / 1e6) == sum(time >= edge for time in times)


@pytest.mark.parametrize("seconds", [0.0125, 0.0000005, 0.000101, 1.01])
def test_a_time_between_two_edges_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="between two edges"):
        slower_than({}, seconds)


@pytest.mark.parametrize("seconds", [-0.001, math.inf, math.nan])
def test_a_threshold_is_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="a positive number of seconds"):
        slower_than({}, seconds)


# --- thresholds --------------------------------------------------------------------------------------------------


@given(SOME_TIMES, st.floats(0.01, 1))
def test_a_threshold_is_an_edge_that_few_exceed(times: list[int], q: float) -> None:
    assert slower_than(counted(times), threshold(counted(times), q)) <= (1 - q) * len(times) + 1e-9


def test_the_threshold_is_the_edge_above_the_ninetieth_percentile() -> None:
    assert threshold({"10/5": 90, "20/5": 10}) == 0.011


def test_without_an_answer_there_is_no_threshold() -> None:
    with pytest.raises(ValueError, match="no response times"):
        threshold({})


def test_a_ratio_is_rounded_up_to_the_next_edge() -> None:
    assert ratio_threshold(0.011, 1.25) == 0.014  # 0.01375


def test_a_ratio_that_ends_on_an_edge_is_not_rounded() -> None:
    # In floating point, 7000 · 1.1 is 7700.000000000001.
    assert ratio_threshold(0.007, 1.1) == 0.0077


def test_a_ratio_below_ten_microseconds_is_rounded_to_whole_ones() -> None:
    assert ratio_threshold(0.000007, 1.25) == 0.000009  # 8.75


def test_a_ratio_across_a_decade_is_rounded_to_the_wider_bucket() -> None:
    assert ratio_threshold(0.088, 1.25) == 0.11
    assert ratio_threshold(0.089, 1.25) == 0.12  # 0.11125


@given(EDGES, st.floats(1, 100).map(lambda ratio: round(ratio, 3)))
def test_a_ratio_is_an_edge_and_at_most_a_tenth_larger(edge: int, ratio: float) -> None:
    found = ratio_threshold(edge / 1e6, ratio)
    assert slower_than({}, found) == 0  # an edge
    assert edge * ratio - 1e-3 <= found * 1e6 <= max(edge * ratio * 1.1, edge * ratio + 1) + 1e-3


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.inf, math.nan])
def test_a_ratio_is_a_positive_number(ratio: float) -> None:
    with pytest.raises(ValueError, match="latency ratio"):
        ratio_threshold(0.01, ratio)


def test_a_ratio_of_a_time_between_two_edges_is_refused() -> None:
    with pytest.raises(ValueError, match="between two edges"):
        ratio_threshold(0.0125, 1.25)


# --- differences -------------------------------------------------------------------------------------------------


def test_a_difference_is_what_came_between_two_readings() -> None:
    assert difference({"12/5": 3, "7/1": 1}, {"12/5": 5, "7/1": 1, "20/6": 4}) == {"12/5": 2, "20/6": 4}


def test_a_smaller_counter_means_that_all_began_again() -> None:
    assert difference({"12/5": 3, "7/1": 1}, {"12/5": 2, "7/1": 1}) == {"12/5": 2, "7/1": 1}


def test_a_counter_that_is_gone_means_that_all_began_again() -> None:
    assert difference({"12/5": 3, "7/1": 1}, {"7/1": 2}) == {"7/1": 2}


def test_a_bucket_that_was_never_hit_may_be_gone() -> None:
    assert difference({"12/5": 0, "7/1": 1}, {"7/1": 2}) == {"7/1": 1}


@given(TIMES, TIMES)
def test_a_difference_of_growing_counters_is_the_growth(first: list[int], second: list[int]) -> None:
    assert difference(counted(first), counted(first + second)) == counted(second)


@given(HISTOGRAMS, HISTOGRAMS)
def test_a_difference_has_positive_counts_of_the_later_reading_only(
    before: dict[str, int], after: dict[str, int]
) -> None:
    assert all(0 < count <= after[key] for key, count in difference(before, after).items())


# --- malformed readings ------------------------------------------------------------------------------------------

MALFORMED = ["", "12", "12/", "/5", "1/5", "12/1", "01/5", "123/5", "12/05", "12/0", "-1/2", "12/5 ", "١٢/5", "12/99"]


@pytest.mark.parametrize("key", MALFORMED)
def test_a_malformed_bucket_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="first two digits"):
        quantile({"12/5": 1, key: 1}, 0.5)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="negative count"):
        slower_than({"12/5": -1}, 0.01)


@pytest.mark.parametrize(("before", "after"), [({"x": 1}, {}), ({}, {"x": 1})])
def test_a_difference_refuses_a_malformed_bucket_in_both_readings(
    before: dict[str, int], after: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match="first two digits"):
        difference(before, after)
