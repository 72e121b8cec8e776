"""The traffic by which a version is judged, from the proxy's counters. Reads only."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.rollout.rollout import Evidence, Rollout
from orchestrator.domain.traffic.counted import Reading, Traffic, as_json, between, from_json
from orchestrator.domain.traffic.judge import Assessment, Counts, Limits, assess
from orchestrator.domain.traffic.judge import Stage as Counted
from orchestrator.domain.traffic.latencies import Histogram, ratio_threshold, slower_than, threshold
from orchestrator.domain.traffic.slot import Slot, SlotState, other
from orchestrator.domain.traffic.state import ALL
from orchestrator.errors import ProxyError
from orchestrator.ports.services import Services

ENOUGH = 100
"""With fewer answers it is not known what is slow."""

# The deployment that made the predecessor live is one of the last.
_RECENT = 50
# A smaller increase of the response time is never held against a version: 8 ms instead of 3 ms, for example. Seconds.
_NOTICEABLE = 0.010
# How long a part of a rollout is at most, in seconds.
_PART = 300.0


def judge_limits(config: Config) -> Limits:
    """The limits of the judge, from [judge] and proxy.sticky."""
    judge, sticky = config.judge, config.proxy.sticky != "none"
    return Limits(judge.alpha, judge.max_error_rate, judge.error_ratio, judge.latency_ratio, sticky)


def traffic(services: Services, app: str, live: SlotState) -> tuple[Traffic, Traffic | None]:
    """The traffic of the live version since its switch, and that of its predecessor before it (None: unknown)."""
    began = _counters(services, live.deployment)
    try:
        now = services.endpoints.counters(app)
    except ProxyError:
        return Traffic(), None  # the state of the proxy is checked elsewhere
    if began is None:
        return Traffic(), None
    deployment = services.ledger.deployment(app, live.deployment)
    before = _put_live_before(services, app, deployment) if deployment else None
    old = None
    if before is not None and (first := _counters(services, before.id)) is not None:
        old = between(first, began, other(live.slot))
    return between(began, now, live.slot), old


def usual_time(services: Services, app: str) -> float:
    """The time, in seconds, that nine of ten answers of the live version stayed below; 0: too few to say."""
    live = services.live(app)
    return _usual(traffic(services, app, live)[0].times) if live is not None else 0.0


def _usual(times: Histogram) -> float:
    return threshold(times) if sum(times.values()) >= ENOUGH else 0.0


def present_part(rollout: Rollout, now: Reading, ratio: float) -> tuple[Counted, ...]:
    """What was counted in the present part of a rollout; empty: nothing. `ratio` is judge.latency_ratio."""
    if rollout.preview or not rollout.evidence.since:
        return ()  # whoever asks the preview is not a client
    began = from_json(rollout.evidence.reading)
    candidate, old = (between(began, now, slot) for slot in (rollout.slot, other(rollout.slot)))
    if not candidate.requests and not old.requests:
        return ()
    slow = rollout.evidence.slow
    limits = (ratio_threshold(slow, max(ratio, 1 + _NOTICEABLE / slow)), slow) if slow else (0.0, 0.0)
    return (
        Counted(
            rollout.share / ALL, *(_counts(each, limit) for each, limit in zip((candidate, old), limits, strict=True))
        ),
    )


def counted(services: Services, rollout: Rollout, limits: Limits) -> tuple[Counted, ...]:
    """What was counted of a rollout until now, in all of its parts.

    Raises:
        ProxyError: the proxy does not answer.
    """
    now = services.endpoints.counters(rollout.app)
    return (*rollout.evidence.past, *present_part(rollout, now, limits.latency_ratio))


def next_part(rollout: Rollout, now: Reading, at: float, ratio: float) -> Evidence:
    """The evidence of a rollout with its present part finished, and another one begun at `at`."""
    evidence = rollout.evidence
    slow = evidence.slow or _usual(between(from_json(evidence.reading), now, other(rollout.slot)).times)
    past = (*evidence.past, *present_part(rollout, now, ratio))
    return Evidence(past, as_json(now), at, slow, evidence.before, *shielded(rollout, now))


def shielded(rollout: Rollout, now: Reading) -> tuple[int, int]:
    """How many failures of the candidate the live version answered since the rollout began, and how many not."""
    evidence = rollout.evidence
    if rollout.preview or not evidence.since:
        return evidence.rescued, evidence.lost
    present = between(from_json(evidence.reading), now, rollout.slot)
    return evidence.rescued + present.rescued, evidence.lost + present.lost


def finished(services: Services, rollout: Rollout, ratio: float) -> Evidence:
    """The evidence of a rollout that ends now. Call it before the traffic moves; `ratio` is judge.latency_ratio.

    When the traffic has moved already, its last part is lost: what was counted since then does not belong to it.
    """
    if services.traffic.on_disk(rollout.app).candidate != rollout.slot:
        return rollout.evidence
    try:
        now = services.endpoints.counters(rollout.app)
    except ProxyError:
        return rollout.evidence
    return next_part(rollout, now, services.wall().timestamp(), ratio)


def assess_alone(seen: Traffic, limits: Limits) -> Assessment:
    """The verdict on a version by its own traffic, without another one to compare it with."""
    return assess([Counted(1.0, Counts(seen.requests, seen.failures), Counts())], limits)


def unanswered_since(services: Services, live: SlotState, seen: Traffic) -> int:
    """As `without_an_answer`, of the live version since its switch. 0 when nothing was counted at the switch.

    Raises:
        ProxyError: the proxy does not answer.
    """
    if _counters(services, live.deployment) is None:
        return 0
    return without_an_answer(services, live.app, live.slot, seen.requests, seen.failures)


def without_an_answer(services: Services, app: str, slot: Slot, requests: int, failures: int) -> int:
    """How many requests a slot failed or has open, if it has answered none well of those that were counted; else 0.

    Raises:
        ProxyError: the proxy does not answer.
    """
    if requests > failures:
        return 0
    return failures + sum(services.endpoints.open_requests(app, slot).values())


def part_is_over(rollout: Rollout, now: Reading, at: float) -> bool:
    """Whether another part is due: it is now known what is slow, or the present part is long.

    What changes late is found sooner when it is not compared with all that came before.
    """
    evidence = rollout.evidence
    known = _usual(between(from_json(evidence.reading), now, other(rollout.slot)).times)
    return bool(not evidence.slow and known) or at - evidence.since >= _PART


def _counts(traffic: Traffic, slow: float) -> Counts:
    return Counts(traffic.requests, traffic.failures, slower_than(traffic.times, slow) if slow else 0)


def _put_live_before(services: Services, app: str, deployment: Deployment) -> Deployment | None:
    """The deployment that made the version live that `deployment` replaced."""
    for earlier in services.ledger.deployments(app, _RECENT):
        if (
            earlier.id < deployment.id
            and earlier.to_version == deployment.from_version
            and earlier.outcome == "succeeded"
        ):
            return earlier
    return None


def _counters(services: Services, deployment: int) -> Reading | None:
    """The proxy's counters at the switch of a deployment; None when they are not recorded."""
    for step in services.ledger.steps(deployment):
        if step.name == "switch" and step.detail.get("counters"):
            return from_json(step.detail["counters"])
    return None
