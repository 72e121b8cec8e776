"""What the proxy's counters say of a version: how many requests, how many failed, how long they took. Pure.

Counters grow as long as a worker of the proxy lives, over all versions that a slot has held. What a version did
is the difference to the counters at the moment of its switch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.domain.traffic.sample import Sample

# HAProxy's mean response time is a sliding one over so many requests (TIME_STATS_SAMPLES; measured on 2.6).
WINDOW = 512
# Its times are whole milliseconds: a mean is known no better than this.
_RESOLUTION = 0.001
# How sure a verdict must be: the chance that traffic as good as allowed looks like this at one look. A bake looks
# hundreds of times, so it is small.
_ALPHA = 1e-5
# The reference is known from a finite number of requests, too: this many standard deviations are granted.
_Z = 2.0
# A model that answers in a millisecond is not bad because it takes five now. Seconds.
_NOTICEABLE = 0.010


@dataclass(frozen=True)
class Traffic:
    """What a version did. `mean` seconds, known within `slack`; None without requests."""

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


@dataclass(frozen=True)
class Limits:
    """What is still good. Times in seconds; None: no limit."""

    min_requests: int = 100
    max_error_rate: float = 0.05
    error_margin: float = 0.01
    max_latency: float | None = None
    latency_factor: float = 3.0


@dataclass(frozen=True)
class Opinion:
    """What traffic says of a version; `inconclusive` is never a failure."""

    verdict: Literal["good", "bad", "inconclusive"]
    why: str = ""


def between(before: Mapping[str, Sample], after: Mapping[str, Sample]) -> Traffic:
    """What happened between two looks at the workers' counters, by worker.

    A worker that was not there before started from zero; one that is gone has taken its figures along.
    """
    requests, errors = 0, 0
    total, known, slack = 0.0, 0, 0.0
    for worker, last in after.items():
        first = before.get(worker, Sample(0, 0, 0.0))
        if first.requests > last.requests:  # another worker with the same number
            first = Sample(0, 0, 0.0)
        count = last.requests - first.requests
        if count == 0:
            continue
        requests += count
        errors += max(0, last.errors - first.errors)
        share = 1 - _left(first.requests, last.requests)
        mean = max(0.0, (last.mean - (1 - share) * first.mean) / share)
        total += count * mean
        slack += count * _RESOLUTION / share
        known += count
    if not known:
        return Traffic(requests, errors)
    return Traffic(requests, errors, total / known, slack / known)


def judge(new: Traffic, old: Traffic | None, limits: Limits) -> Opinion:
    """Says whether a version's traffic is bad by itself, or worse than that of the version before it."""
    if new.requests < limits.min_requests:
        return Opinion("inconclusive", f"{new.requests} requests, {limits.min_requests} are needed to judge")
    reference = old if old is not None and old.requests >= limits.min_requests else None
    allowed = _allowed(reference, limits)
    beside = f" (before the switch {reference})" if reference else ""
    if tail(new.requests, new.errors, allowed) < _ALPHA:
        return Opinion("bad", f"{new}{beside}; at most {allowed:.1%} may fail")
    if new.mean is not None:
        least = new.mean - new.slack
        if limits.max_latency is not None and least > limits.max_latency:
            return Opinion("bad", f"{new}{beside}; at most {limits.max_latency * 1000:.0f} ms are allowed")
        if reference is not None and reference.mean is not None:
            slow = least > limits.latency_factor * (reference.mean + reference.slack)
            if slow and least - reference.mean > _NOTICEABLE:
                return Opinion("bad", f"{new}{beside}; at most {limits.latency_factor:g} times as long is allowed")
    return Opinion("good", str(new))


def _allowed(reference: Traffic | None, limits: Limits) -> float:
    """The share of failed requests that is still good."""
    if reference is None:
        return limits.max_error_rate
    worse = _upper(reference.errors, reference.requests) + limits.error_margin
    if reference.error_rate + limits.error_margin < limits.max_error_rate:
        return min(limits.max_error_rate, worse)
    # The version before it was no better than the limit: only what is worse than that counts.
    return worse


def tail(count: int, hits: int, probability: float) -> float:
    """The chance of `hits` or more among `count` independent trials, each a hit with `probability`."""
    if hits <= 0 or probability >= 1:
        return 1.0
    if probability <= 0:
        return 0.0
    if hits <= count * probability:
        return 1.0  # not even unusual: no need to know how usual
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


def _left(first: int, last: int) -> float:
    """The weight that the mean over the first `first` requests still has in the sliding one after `last`."""
    grown = min(first, WINDOW) / min(last, WINDOW)
    return grown * (1 - 1 / WINDOW) ** (max(last - WINDOW, 0) - max(first - WINDOW, 0))
