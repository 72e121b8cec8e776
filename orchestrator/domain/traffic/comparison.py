"""Judges a version by the proxy's counters: requests, failed requests, response times. Pure.

Counters grow as long as a worker of the proxy runs, for all versions that were in a slot. So the traffic of a version
is the difference from the counters at the moment of its switch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from orchestrator.domain.traffic.sample import Sample
from orchestrator.frozen import frozen
from orchestrator.text import counted

# HAProxy's mean response time is a sliding mean over this many requests (TIME_STATS_SAMPLES; measured on 2.6).
WINDOW = 512
# HAProxy reports whole milliseconds, so a mean is not more exact than this. Seconds.
_RESOLUTION = 0.001
# The significance level of one look: the chance that a version at the limit is found bad. It is small because a bake
# takes hundreds of looks.
_ALPHA = 1e-5
# The reference is an estimate from a limited number of requests: so many standard deviations are added to it.
_Z = 2.0
# A smaller increase of the response time is never bad: 5 ms instead of 1 ms, for example. Seconds.
_NOTICEABLE = 0.010


@frozen
class Traffic:
    """The traffic of a version. `mean` is the mean response time, exact to `slack`, in seconds; None if unknown."""

    requests: int = 0
    errors: int = 0
    mean: float | None = None
    slack: float = 0.0

    @property
    def error_rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        if not self.requests:
            return "no requests"
        text = f"{self.error_rate:.1%} of {self.requests:,} requests failed"
        return text if self.mean is None else f"{text}, {self.mean * 1000:.0f} ms on average"


@frozen
class Limits:
    """The limits of good traffic. Times in seconds; None: no limit."""

    min_requests: int = 100
    max_error_rate: float = 0.05
    error_margin: float = 0.01
    max_latency: float | None = None
    latency_factor: float = 3.0


@frozen
class Assessment:
    """The verdict on a version's traffic and the reason; `inconclusive`: too few requests, which is not a failure."""

    verdict: Literal["good", "bad", "inconclusive"]
    why: str = ""


def between(before: Mapping[str, Sample], after: Mapping[str, Sample]) -> Traffic:
    """The traffic between two readings of the counters, by worker.

    A worker that is missing in `before` started from zero. The counters of a worker that has ended are lost.
    """
    requests, errors = 0, 0
    total, known, slack = 0.0, 0, 0.0
    for worker, last in after.items():
        first = before.get(worker, Sample(0, 0, 0.0))
        if first.requests > last.requests:  # another worker with the same name
            first = Sample(0, 0, 0.0)
        count = last.requests - first.requests
        if count == 0:
            continue
        requests += count
        errors += max(0, last.errors - first.errors)
        share = 1 - _remaining_weight(first.requests, last.requests)
        mean = max(0.0, (last.mean - (1 - share) * first.mean) / share)
        total += count * mean
        slack += count * _RESOLUTION / share
        known += count
    if not known:
        return Traffic(requests, errors)
    return Traffic(requests, errors, total / known, slack / known)


def judge(new: Traffic, old: Traffic | None, limits: Limits) -> Assessment:
    """Decides whether the traffic `new` exceeds a limit, or is worse than `old`, the traffic of the predecessor."""
    if new.requests < limits.min_requests:
        return Assessment(
            "inconclusive", f"{counted(new.requests, 'request')}, {limits.min_requests} are needed to judge"
        )
    reference = old if old is not None and old.requests >= limits.min_requests else None
    allowed = _allowed(reference, limits)
    compared = f" (before the switch {reference})" if reference else ""
    if tail(new.requests, new.errors, allowed) < _ALPHA:
        return Assessment("bad", f"{new}{compared}; at most {allowed:.1%} may fail")
    if new.mean is not None:
        least = new.mean - new.slack
        if limits.max_latency is not None and least > limits.max_latency:
            return Assessment("bad", f"{new}{compared}; at most {limits.max_latency * 1000:.0f} ms are allowed")
        if reference is not None and reference.mean is not None:
            slow = least > limits.latency_factor * (reference.mean + reference.slack)
            if slow and least - reference.mean > _NOTICEABLE:
                return Assessment("bad", f"{new}{compared}; at most {limits.latency_factor:g} times as long is allowed")
    return Assessment("good", str(new))


def _allowed(reference: Traffic | None, limits: Limits) -> float:
    """The largest share of failed requests that is still good."""
    if reference is None:
        return limits.max_error_rate
    worse = _upper(reference.errors, reference.requests) + limits.error_margin
    if reference.error_rate + limits.error_margin < limits.max_error_rate:
        return min(limits.max_error_rate, worse)
    # The predecessor itself was above the limit: the version is bad only when it is worse.
    return worse


def tail(count: int, hits: int, probability: float) -> float:
    """The chance of `hits` or more among `count` independent trials, each a hit with `probability`."""
    if hits <= 0 or probability >= 1:
        return 1.0
    if probability <= 0:
        return 0.0
    if hits <= count * probability:
        return 1.0  # not more than expected: the exact chance does not matter
    log = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    term = math.exp(log + hits * math.log(probability) + (count - hits) * math.log1p(-probability))
    total, odds = 0.0, probability / (1 - probability)
    for number in range(hits, count + 1):
        total += term
        term *= (count - number) / (number + 1) * odds
        if term <= total * 1e-9:
            break
    return min(1.0, total)


def _upper(hits: int, count: int) -> float:
    """The upper end of Wilson's interval for a share (Wilson 1927)."""
    share, z2 = hits / count, _Z * _Z
    middle = share + z2 / (2 * count)
    spread = _Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return (middle + spread) / (1 + z2 / count)


def _remaining_weight(first: int, last: int) -> float:
    """The weight of the mean after `first` requests in the sliding mean after `last` requests."""
    weight = min(first, WINDOW) / min(last, WINDOW)
    return weight * (1 - 1 / WINDOW) ** (max(last - WINDOW, 0) - max(first - WINDOW, 0))
