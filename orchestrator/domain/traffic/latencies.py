"""A histogram of response times, as the proxy counts them. Pure.

A bucket has two significant digits of the time in whole microseconds: `12/5` counts the times of five digits that begin
with 12, so 12,000 to 12,999 µs. A time below 10 µs has one digit: `7/1`. The proxy can build such a key without
arithmetic, and no bucket is wider than a tenth of the times in it.

An edge is the time at which a bucket begins. Edges are what thresholds are made of: how many answers were slower than
an edge is known exactly, and for any other time it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil

Histogram = Mapping[str, int]
"""How many answers fell into each bucket. A bucket without an answer may be missing."""

_KEY = re.compile(r"(?P<one>[0-9])/1|(?P<two>[1-9][0-9])/(?P<digits>[2-9]|1[0-9])")
_MICROSECONDS = 1_000_000


def quantile(histogram: Histogram, q: float) -> float | None:
    """The time, in seconds, that a share of at least `q` of the answers stayed below; None without an answer.

    It is the upper edge of the bucket that holds the quantile, so at most 10 % above it (or 1 µs, for times below 10
    µs).

    Raises:
        ValueError: a malformed bucket, or `q` is not between 0 and 1.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile is between 0 and 1, not {q!r}")
    buckets = sorted(_buckets(histogram))
    rank = max(1, ceil(_exact(q) * sum(count for _, _, count in buckets)))
    for _, end, count in buckets:
        rank -= count
        if rank <= 0:
            return end / _MICROSECONDS
    return None


def mean(histogram: Histogram) -> float | None:
    """The mean time in seconds, with the middle of each bucket for its answers; None without an answer.

    Raises:
        ValueError: a malformed bucket.
    """
    buckets = list(_buckets(histogram))
    count = sum(each for _, _, each in buckets)
    return sum((begin + end) / 2 * each for begin, end, each in buckets) / count / _MICROSECONDS if count else None


def slower_than(histogram: Histogram, seconds: float) -> int:
    """How many answers took `seconds` or longer.

    Raises:
        ValueError: a malformed bucket, or `seconds` is not an edge: a bucket would have to be divided.
    """
    edge = _edge(seconds)
    return sum(count for begin, _, count in _buckets(histogram) if begin >= edge)


def threshold(old: Histogram, q: float = 0.9) -> float:
    """The time T, in seconds, that the old version seldom exceeds: the edge above its quantile `q`.

    Raises:
        ValueError: a malformed bucket, `q` is not between 0 and 1, or there is no answer.
    """
    found = quantile(old, q)
    if found is None:
        raise ValueError("there are no response times to take a threshold from")
    return found


def ratio_threshold(seconds: float, ratio: float) -> float:
    """The time τT, in seconds, for T = `seconds` and τ = `ratio`: the next edge that is not below it.

    It is rounded up, so that a candidate is never judged by a smaller ratio than the configured one. The effective
    ratio is at most 10 % larger.

    Raises:
        ValueError: `seconds` is not an edge, or `ratio` is not a positive number.
    """
    if not 0 < ratio < float("inf"):
        raise ValueError(f"a latency ratio is a positive number, not {ratio!r}")
    return _up(ceil(_edge(seconds) * _exact(ratio))) / _MICROSECONDS


def difference(before: Histogram, after: Histogram) -> dict[str, int]:
    """The answers between two readings of the counters.

    A counter that is smaller than before, or gone, began again at zero, as all do in a new process of the proxy. Then
    `after` holds all that is known of the time between: what the old process counted since `before` is lost.

    Raises:
        ValueError: a malformed bucket.
    """
    first = {key: count for key, count in before.items() if count}
    for reading in (before, after):
        for _ in _buckets(reading):
            pass
    if any(after.get(key, 0) < count for key, count in first.items()):
        first = {}
    grown = {key: count - first.get(key, 0) for key, count in after.items()}
    return {key: count for key, count in grown.items() if count}


def _buckets(histogram: Histogram) -> Iterator[tuple[int, int, int]]:
    """Where each bucket begins and ends (exclusive), in microseconds, and its count."""
    for key, count in histogram.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(
                f"a bucket of response times is the first two digits of a time in microseconds and the number of its"
                f' digits, such as "12/5", not {key!r}'
            )
        if count < 0:
            raise ValueError(f"the bucket {key!r} of response times has a negative count: {count}")
        width = 10 ** (int(match["digits"]) - 2) if match["two"] else 1
        begin = int(match["two"] or match["one"]) * width
        yield begin, begin + width, count


def _edge(seconds: float) -> int:
    """`seconds` in microseconds; they must be an edge."""
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a time is zero or a positive number of seconds, not {seconds!r}")
    exact = _exact(seconds) * _MICROSECONDS
    if exact.denominator != 1 or _up(exact.numerator) != exact:
        raise ValueError(f"{seconds!r} s is between two edges: an edge has at most two digits that are not zero, in µs")
    return exact.numerator


def _up(microseconds: int) -> int:
    """The next edge that is not below `microseconds`."""
    width = 10 ** max(0, len(str(microseconds)) - 2)
    return int(-(-microseconds // width) * width)


def _exact(value: float) -> Fraction:
    """The decimal number that is written, not the binary one next to it: 0.008 · 1.25 is 0.01, and not above it."""
    return Fraction(repr(float(value)))
