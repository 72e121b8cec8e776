"""The judge in simulated rollouts: how often it is wrong, and how soon it is right. Every seed is fixed.

`DEPLOYCTL_CHAOS=full` simulates as many rollouts as it takes to prove the chance of a false alarm; otherwise fewer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from orchestrator.domain.traffic.anytime import log_evidence
from orchestrator.domain.traffic.judge import Counts, Limits, Stage, judge, routing_fault, verdict
from orchestrator.domain.traffic.latencies import ratio_threshold, threshold
from tests.chaos import FULL

LIMITS = Limits()
# As if the judge asked one question only: its threshold is then ln(1 / 0.01).
ONE_QUESTION = Limits(alpha=0.03, error_ratio=1.0)
LOOK = 10
"""A look every so many requests."""
CANARY = ((0.05, 3000), (0.25, 3000), (0.5, 4000))
"""The share of each stage, and how many requests come in it."""


@pytest.fixture(autouse=True)
def _remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier stages do not change, so their evidence is calculated once: this halves the time of the simulation."""
    monkeypatch.setattr("orchestrator.domain.traffic.judge.log_evidence", lru_cache(100_000)(log_evidence))


@dataclass(frozen=True)
class Traffic:
    """What was counted at each look of a stage: requests, failures and slow answers of both versions."""

    share: float
    candidate: np.ndarray
    old: np.ndarray

    def at(self, look: int) -> Stage:
        return Stage(self.share, Counts(*self.candidate[look].tolist()), Counts(*self.old[look].tolist()))

    def looks(self) -> Iterator[int]:
        """The looks that can find the candidate bad: with a failure or a slow answer of it since the one before.

        All others lower the evidence, which has a test of its own.
        """
        hits = self.candidate[:, 1] + self.candidate[:, 2]
        yield from np.flatnonzero(np.diff(hits, prepend=0)).tolist()


@dataclass(frozen=True)
class World:
    """Two versions. `failing`: the share that the candidate and the old one fail; `factor`: how slow the candidate is.

    Response times have a heavy tail: a share of x^-`tail` is x times as long as the fastest one.
    `slowdown`: both take so many times as long in the second half of a stage.
    """

    failing: tuple[float, float] = (0.01, 0.01)
    factor: float = 1.0
    tail: float = 3.0
    slowdown: float = 1.0
    routed: float | None = None
    """The share that the candidate really gets, when it is not the configured one."""

    def stage(self, chance: Generator, limits: Limits, share: float, requests: int) -> Traffic:
        fastest = 10 ** chance.uniform(-3, -1)
        before = (1e6 * fastest * (1 + chance.pareto(self.tail, 1000))).astype(int)
        normal = threshold(Counter(f"{str(each)[:2]}/{len(str(each))}" for each in before.tolist()))
        seconds = fastest * (1 + chance.pareto(self.tail, requests))
        seconds[requests // 2 :] *= self.slowdown
        new = chance.random(requests) < (share if self.routed is None else self.routed)
        failed = chance.random(requests) < np.where(new, *self.failing)
        seconds[new] *= self.factor
        slow = seconds >= np.where(new, ratio_threshold(normal, limits.latency_ratio), normal)
        both = [
            np.cumsum(np.stack([side, side & failed, side & slow], axis=1), axis=0)[LOOK - 1 :: LOOK]
            for side in (new, ~new)
        ]
        return Traffic(share, *both)


def found_bad(stages: list[Traffic], limits: Limits = LIMITS) -> int | None:
    """After how many requests of the candidate the judge finds it bad; None: never."""
    done: list[Stage] = []
    for traffic in stages:
        for look in traffic.looks():
            seen = [*done, traffic.at(look)]
            if verdict(judge(seen, limits)) == "bad":
                return sum(each.candidate.requests for each in seen)
        done.append(traffic.at(-1))
    return None


def median_found(world: World, limits: Limits, share: float = 0.1, rollouts: int = 100) -> float:
    """The median number of the candidate's requests until it is found bad."""
    found = []
    for seed in range(rollouts):
        chance = default_rng(seed)
        found.append(found_bad([world.stage(chance, limits, share, 20_000)], limits) or math.inf)
    return median(found)


def at_most(found: int, rollouts: int, chance: float) -> float:
    """The probability that an event with this chance is found in at most so many rollouts."""
    return sum(math.comb(rollouts, k) * chance**k * (1 - chance) ** (rollouts - k) for k in range(found + 1))


def upper_bound(found: int, rollouts: int, confidence: float = 0.99) -> float:
    """The largest chance of an event that `found` of `rollouts` do not contradict: exact, one-sided.

    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    low, high = found / rollouts, 1.0
    for _ in range(60):
        chance = (low + high) / 2
        low, high = (chance, high) if at_most(found, rollouts, chance) > 1 - confidence else (low, chance)
    return high


# --- how often it is wrong ---------------------------------------------------------------------------------------


def test_the_upper_bound_has_known_values() -> None:
    assert math.isclose(upper_bound(0, 300), 1 - 0.01 ** (1 / 300))
    assert math.isclose(upper_bound(1, 10, 0.975), 0.44502, rel_tol=1e-4)


def aborted(rollouts: int, *, failing: float = 1.0, factor: float = 1.0) -> int:
    """How many canaries are aborted. `failing` and `factor`: how often and how slow in comparison with the old one."""
    found = 0
    for seed in range(rollouts):
        chance = default_rng(seed)
        new = chance.uniform(0, 0.04)
        world = World((new, new / failing), factor, tail=chance.uniform(1.5, 4))
        found += found_bad([world.stage(chance, LIMITS, *stage) for stage in CANARY]) is not None
    print(f"{found} of {rollouts} aborted, at most {upper_bound(found, rollouts):.2%} at 99 %")
    return found


def test_a_version_as_good_as_the_old_one_is_hardly_ever_aborted() -> None:
    rollouts = 2000 if FULL else 300
    found = aborted(rollouts)
    assert found <= LIMITS.alpha * rollouts
    # So few rollouts cannot prove 1 %: 0 of 300 may be 1.5 %, and 1 of 300 2.2 %.
    assert upper_bound(found, rollouts) <= (LIMITS.alpha if FULL else 0.025)


def test_a_version_as_much_worse_as_is_allowed_is_hardly_ever_aborted() -> None:
    rollouts = 2000 if FULL else 100
    found = aborted(rollouts, failing=LIMITS.error_ratio, factor=LIMITS.latency_ratio)
    assert found <= LIMITS.alpha * rollouts


def test_a_version_at_its_limit_is_hardly_ever_proven_good() -> None:
    rollouts = 2000 if FULL else 300
    proven = 0
    for seed in range(rollouts):
        failed = np.cumsum(default_rng(seed).random(3000 if FULL else 1500) < LIMITS.max_error_rate)
        # Only a success raises this evidence, so the looks just before a failure are the highest ones.
        looks = np.flatnonzero(np.diff(failed, append=failed[-1] + 1))
        proven += any(
            verdict(judge([Stage(1.0, Counts(look + 1, int(failed[look])), Counts())], LIMITS)) == "good"
            for look in looks.tolist()
        )
    print(f"{proven} of {rollouts} proven good, at most {upper_bound(proven, rollouts):.2%} at 99 %")
    # At the limit the chance is close to alpha, so more than alpha of the rollouts may be. Not much more, however.
    assert at_most(proven - 1, rollouts, LIMITS.alpha) < 0.99


def test_both_versions_slowing_down_together_is_no_reason_to_abort() -> None:
    world = World(slowdown=3.0)
    assert all(found_bad([world.stage(default_rng(seed), LIMITS, 0.1, 4000)]) is None for seed in range(200))


# --- how soon it is right ----------------------------------------------------------------------------------------


def test_failures_of_five_instead_of_one_percent_are_found_by_one_question() -> None:
    assert median_found(World((0.05, 0.01)), ONE_QUESTION) == pytest.approx(148, rel=0.25)


def test_failures_of_five_instead_of_one_percent_are_found_by_all_questions() -> None:
    # Later, because a ratio of 1.5 is allowed. The best test there is, of exactly 5 against exactly 1.5 %, needs about
    # ln(300) / (0.014 · 0.142) requests, of which 287 are the candidate's.
    assert median_found(World((0.05, 0.01)), LIMITS) == pytest.approx(290, rel=0.25)


# More are needed with all questions, because they share the chance of a false alarm. Both depend on the tail: with a
# heavier one, of 2 instead of 3, fewer answers get beyond the threshold, and it takes three times as many.
@pytest.mark.parametrize(("limits", "requests"), [(ONE_QUESTION, 24), (LIMITS, 33)], ids=["one question", "all"])
def test_answers_that_take_twice_as_long_are_found(limits: Limits, requests: int) -> None:
    assert median_found(World(factor=2.0), limits) == pytest.approx(requests, rel=0.25)


def test_answers_that_only_the_candidate_slows_down_are_found_although_both_slow_down() -> None:
    assert median_found(World(factor=2.0, slowdown=3.0), LIMITS) < 50


# --- the share ---------------------------------------------------------------------------------------------------


def routing_faults(world: World, share: float, rollouts: int, requests: int, look: int) -> list[tuple[int, int] | None]:
    """In each rollout: the number of requests, and those of the candidate, when the share is found to be wrong."""
    results = []
    for seed in range(rollouts):
        traffic = world.stage(default_rng(seed), LIMITS, share, requests)
        faults = (routing_fault([traffic.at(at)], LIMITS) for at in range(0, requests // LOOK, look // LOOK))
        results.append(next(((each.hits + each.misses, each.hits) for each in faults if each is not None), None))
    return results


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_a_right_share_is_hardly_ever_called_wrong(share: float) -> None:
    rollouts, requests, look = (2000, 10_000, 50) if FULL else (200, 2000, 20)
    alarms = sum(each is not None for each in routing_faults(World(), share, rollouts, requests, look))
    assert alarms <= LIMITS.alpha * rollouts


@pytest.mark.parametrize(
    ("share", "routed", "within"),
    [(0.05, 0.10, 500), (0.05, 0.02, 1000), (0.25, 0.35, 500), (0.5, 0.4, 600), (0.5, 0.0, 50), (0.05, 1.0, 50)],
)
def test_a_wrong_share_is_found_in_both_directions(share: float, routed: float, within: int) -> None:
    found = routing_faults(World(routed=routed), share, 40, 4000, LOOK)
    assert None not in found
    assert median(requests for requests, _ in found if requests) <= within  # type: ignore[misc]
