"""The judge: decides by live traffic whether a candidate is worse than the version that runs beside it. Pure.

Each question compares events that are counted at the same time, so that what slows both versions down speaks against
neither. The evidence of all looks and stages of a rollout adds up, and the questions share the chance of a false alarm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

from orchestrator.domain.traffic.anytime import log_evidence
from orchestrator.frozen import frozen

Question = Literal["failure rate", "failure ratio", "latency ratio", "share"]
QUESTIONS: tuple[Question, ...] = ("failure rate", "failure ratio", "latency ratio")
Verdict = Literal["bad", "good", "inconclusive"]


@frozen
class Limits:
    """The limits of the judge. `alpha` is the chance, over a whole rollout, that a good version is aborted.

    `sticky`: shares are shares of the new sessions, so the candidate is compared by the share of the requests that it
    got. Then the failures of one session, which are those of one version, may weigh more than `alpha` says.
    """

    alpha: float = 0.01
    max_error_rate: float = 0.05
    error_ratio: float = 1.5
    latency_ratio: float = 1.25
    sticky: bool = False


@frozen
class Counts:
    """The answers of one version in a stage.

    `slow` are the answers that took longer than a threshold: for the old version a time that it seldom exceeds, for the
    candidate the `latency_ratio` times that.
    """

    requests: int = 0
    failures: int = 0
    slow: int = 0


@frozen
class Stage:
    """What was counted while the candidate was to get `share` of the requests (0 to 1).

    At a share of 1 no other version answers, and only the candidate's own failure rate can be judged.
    """

    share: float
    candidate: Counts
    old: Counts


@frozen
class Evidence:
    """The evidence for one question: hits and misses of all stages, and the logarithm of the evidence that it is bad.

    It is bad from `bad_at` on. `log_good` is the logarithm of the evidence that it is good, from `good_at` on; None for
    a question that cannot be answered so.
    """

    question: Question
    hits: int
    misses: int
    log_bad: float
    bad_at: float
    log_good: float | None
    good_at: float
    verdict: Verdict


def judge(stages: Iterable[Stage], limits: Limits) -> tuple[Evidence, ...]:
    """The evidence for every question, from the counts of all stages of a rollout so far."""
    stages = tuple(stages)
    return tuple(_evidence(question, stages, limits) for question in QUESTIONS)


def verdict(evidence: Iterable[Evidence]) -> Verdict:
    """Bad when one answer is bad; good when the failure rate of the candidate is proven to be within its limit."""
    verdicts = {each.question: each.verdict for each in evidence}
    if "bad" in verdicts.values():
        return "bad"
    return "good" if verdicts.get("failure rate") == "good" else "inconclusive"


@frozen
class Assessment:
    """The verdict on a version's traffic, and the reason for it."""

    verdict: Verdict
    why: str = ""


def assess(stages: Iterable[Stage], limits: Limits) -> Assessment:
    """The verdict on a version, with its reason in words, from the counts of all stages of its rollout so far."""
    stages = tuple(stages)
    evidence = judge(stages, limits)
    bad = next((each for each in evidence if each.verdict == "bad"), None)
    if bad is not None:
        return Assessment("bad", _reason(bad, stages, limits))
    requests = sum(stage.candidate.requests for stage in stages)
    failures = sum(stage.candidate.failures for stage in stages)
    return Assessment(verdict(evidence), f"{failures:,} of {_requests(requests)} failed")


def _requests(count: int) -> str:
    return f"{count:,} {'request' if count == 1 else 'requests'}"


def _reason(evidence: Evidence, stages: tuple[Stage, ...], limits: Limits) -> str:
    if evidence.question != "failure rate":
        # The questions that compare: what was counted while both versions answered.
        stages = tuple(stage for stage in stages if 0 < stage.share < 1)
    new = sum(stage.candidate.requests for stage in stages)
    of_new = _of(evidence.hits, new)
    if evidence.question == "failure rate":
        return f"{of_new} failed; at most {limits.max_error_rate:.1%} may fail"
    of_old = _of(evidence.misses, sum(stage.old.requests for stage in stages))
    if evidence.question == "failure ratio":
        return (
            f"{of_new} failed, and {of_old} to the live version in the same period; the limit is"
            f" {limits.error_ratio:g} times the live version's rate"
        )
    return (
        f"{of_new} had a slow response, and {of_old} to the live version in the same period; the limit is"
        f" {limits.latency_ratio:g} times the live version's response time"
    )


def _of(part: int, requests: int) -> str:
    return f"{part / max(1, requests):.1%} of {_requests(requests)}"


def routing_fault(stages: Iterable[Stage], limits: Limits) -> Evidence | None:
    """The evidence that the candidate gets another share than it should; None as long as there is not enough."""
    above = below = 0.0
    hits = misses = 0
    for stage in stages:
        if 0 < stage.share < 1:
            hits += stage.candidate.requests
            misses += stage.old.requests
            above += log_evidence(stage.candidate.requests, stage.old.requests, stage.share)
            below += log_evidence(stage.old.requests, stage.candidate.requests, 1 - stage.share)
    # Two sides of one question.
    threshold = math.log(2 / limits.alpha)
    found = max(above, below)
    if found < threshold:
        return None
    return Evidence("share", hits, misses, found, threshold, None, threshold, "bad")


def _evidence(question: Question, stages: tuple[Stage, ...], limits: Limits) -> Evidence:
    events = tuple(_events(question, stages, limits))
    hits, misses = sum(hit for hit, _, _ in events), sum(missed for _, missed, _ in events)
    # Any of the questions may raise a false alarm, so they share its chance. Only one of them can prove something.
    bad_at, good_at = math.log(len(QUESTIONS) / limits.alpha), math.log(1 / limits.alpha)
    log_bad = sum(log_evidence(hit, missed, limit) for hit, missed, limit in events)
    log_good: float | None = None
    if question == "failure rate":
        # Proven good means: less than the limit. The ratios are about what is not worse, so they prove nothing.
        log_good = sum(log_evidence(missed, hit, 1 - limit) for hit, missed, limit in events)
    good = log_good is not None and log_good >= good_at
    word: Verdict = "bad" if log_bad >= bad_at else "good" if good else "inconclusive"
    return Evidence(question, hits, misses, log_bad, bad_at, log_good, good_at, word)


def _events(question: Question, stages: tuple[Stage, ...], limits: Limits) -> Iterator[tuple[int, int, float]]:
    """The hits, the misses and the largest share of hits that is still good, in each stage."""
    for stage in stages:
        new, old = stage.candidate, stage.old
        share = stage.share
        if limits.sticky and 0 < share < 1:
            share = new.requests / max(1, new.requests + old.requests)
        if question == "failure rate":
            yield new.failures, max(0, new.requests - new.failures), limits.max_error_rate
        elif 0 < share < 1 and question == "failure ratio":
            weighted = share * limits.error_ratio
            yield new.failures, old.failures, weighted / (weighted + 1 - share)
        elif 0 < share < 1:
            yield new.slow, old.slow, share
