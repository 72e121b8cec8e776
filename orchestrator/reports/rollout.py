"""A rollout and its evidence, as `status` and `history` report them. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from orchestrator.config import Config
from orchestrator.domain.moments import epoch, iso
from orchestrator.domain.rollout.rollout import Rollout, RolloutOutcome
from orchestrator.domain.traffic.judge import Counts, Limits, Stage, Verdict, judge
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ProxyError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.evidence import judge_limits, present_part, shielded


@frozen
class Candidate:
    """A version that is ready and not live. `share` is its share of the requests, in percent."""

    version: str
    slot: Slot
    share: float


@frozen
class ShieldStatus:
    """The shield: how many requests that the newer version failed were answered by the older one, and were not."""

    on: bool
    rescued: int
    lost: int


@frozen
class EvidenceRow:
    """The judge's evidence for one question, as natural logarithms: bad from `bad_at` on, good from `good_at` on."""

    test: str
    hits: int
    misses: int
    log_e: float
    bad_at: float
    good_at: float
    verdict: Verdict


@frozen
class RequestCounts:
    """Requests of a version since the rollout began, and those of them that it failed."""

    requests: int
    failures: int


@frozen
class RolloutStatus:
    """A rollout that has not ended. `stage` counts from 1; 0: it is previewed. `share` is in percent.

    `next_at` is when the stage ends, unless the version is proven good before; None when nobody knows. `approve`: each
    stage waits for a person at its end. `candidate` and `live` are what the evidence was made from.
    """

    id: int
    version: str
    strategy: str
    stage: int
    stages: tuple[str, ...]
    share: float
    since: str
    next_at: str | None
    held: str | None
    shield: ShieldStatus
    evidence: tuple[EvidenceRow, ...]
    candidate: RequestCounts
    live: RequestCounts
    approve: bool = False


@frozen
class RolloutRecord:
    """A rollout in the history. `ended_at` and `outcome` are None while it is open.

    `from_` is the version that was live when it began; `shield` and `evidence` are those of the whole rollout.
    """

    id: int
    version: str
    from_: str
    strategy: str
    stages: tuple[str, ...]
    began_at: str
    ended_at: str | None
    outcome: RolloutOutcome | None
    why: str
    actor: str
    shield: ShieldStatus
    evidence: tuple[EvidenceRow, ...]


def rollout_status(services: Services, rollout: Rollout, *, shield: bool) -> RolloutStatus:
    """The status of a rollout. Without the proxy, its evidence is that of its finished parts."""
    limits = _limits(services, rollout)
    stages, rescued, lost = _counted(services, rollout, limits)
    return RolloutStatus(
        id=rollout.id,
        version=rollout.version,
        strategy=rollout.strategy,
        stage=0 if rollout.preview else rollout.stage + 1,
        stages=rollout.stages,
        share=rollout.share / 100,
        since=rollout.began_at,
        next_at=_next_at(rollout),
        held=rollout.held or None,
        shield=ShieldStatus(shield, rescued, lost),
        evidence=_rows(stages, limits),
        candidate=_sum(stage.candidate for stage in stages),
        live=_sum(stage.old for stage in stages),
        approve=rollout.approve,
    )


def _sum(counts: Iterable[Counts]) -> RequestCounts:
    counts = tuple(counts)
    return RequestCounts(sum(each.requests for each in counts), sum(each.failures for each in counts))


def rollout_record(services: Services, rollout: Rollout) -> RolloutRecord:
    """A rollout in the history. Without the proxy, the evidence of an open one is that of its finished parts."""
    limits, evidence, is_open = _limits(services, rollout), rollout.evidence, rollout.outcome is None
    stages, rescued, lost = evidence.past, evidence.rescued, evidence.lost
    if is_open:
        stages, rescued, lost = _counted(services, rollout, limits)
    return RolloutRecord(
        id=rollout.id,
        version=rollout.version,
        from_=rollout.old,
        strategy=rollout.strategy,
        stages=rollout.stages,
        began_at=rollout.began_at,
        ended_at=rollout.ended_at,
        outcome=rollout.outcome,
        why=rollout.why,
        actor=rollout.actor,
        shield=ShieldStatus(is_open and services.ledger.traffic(rollout.app).shield, rescued, lost),
        evidence=_rows(stages, limits),
    )


def _counted(services: Services, rollout: Rollout, limits: Limits) -> tuple[tuple[Stage, ...], int, int]:
    """What was counted in all parts until now, and how many failures the live version answered, and did not."""
    evidence = rollout.evidence
    try:
        now = services.endpoints.counters(rollout.app)
    except ProxyError:
        return evidence.past, evidence.rescued, evidence.lost
    return (*evidence.past, *present_part(rollout, now, limits.latency_ratio)), *shielded(rollout, now)


def _rows(stages: tuple[Stage, ...], limits: Limits) -> tuple[EvidenceRow, ...]:
    return tuple(
        EvidenceRow(
            each.question,
            each.hits,
            each.misses,
            round(each.log_bad, 6),
            round(each.bad_at, 6),
            round(each.good_at, 6),
            each.verdict,
        )
        for each in judge(stages, limits)
    )


def candidate(rollout: Rollout) -> Candidate:
    """The candidate of a rollout."""
    return Candidate(rollout.version, rollout.slot, rollout.share / 100)


def _limits(services: Services, rollout: Rollout) -> Limits:
    return judge_limits(Config.from_snapshot(services.ledger.settings(rollout.app, rollout.version)))


def _next_at(rollout: Rollout) -> str | None:
    if rollout.preview or rollout.held or rollout.approve:
        return None
    ends = epoch(rollout.stage_since) + rollout.parsed[rollout.stage].seconds
    return iso(datetime.fromtimestamp(ends, UTC))
