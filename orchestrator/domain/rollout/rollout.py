"""A rollout: the gradual move of traffic to a version, as it is recorded. Pure.

It survives the program that began it: whoever looks at it next goes on, by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from orchestrator.domain.moments import epoch
from orchestrator.domain.rollout import progress
from orchestrator.domain.rollout.stages import Stage, parse
from orchestrator.domain.traffic.judge import Counts
from orchestrator.domain.traffic.judge import Stage as Counted
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen

RolloutOutcome = Literal["promoted", "aborted"]
# The fields of `Evidence` that JSON has as they are.
_PLAIN = ("since", "slow", "before", "rescued", "lost")


@frozen
class Evidence:
    """What was counted of a rollout so far.

    `past` are its finished parts, of which the first `before` belong to earlier stages. `reading` are the edge's
    counters at the beginning of the present part (see `counted.as_json`), and `since` is that moment, in seconds since
    the epoch (0: there is none yet). `slow` is the response time, in seconds, that the live version seldom exceeds; 0:
    not known yet. `rescued` and `lost` are the failures of the finished parts that the live version answered, and did
    not.
    """

    past: tuple[Counted, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    since: float = 0.0
    slow: float = 0.0
    before: int = 0
    rescued: int = 0
    lost: int = 0

    def to_json(self) -> dict[str, Any]:
        rows = [[each.share, *_row(each.candidate), *_row(each.old)] for each in self.past]
        return {"past": rows, "reading": dict(self.reading), **{name: getattr(self, name) for name in _PLAIN}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        past = tuple(Counted(row[0], Counts(*row[1:4]), Counts(*row[4:7])) for row in data.get("past", ()))
        return cls(past, data.get("reading", {}), **{name: data[name] for name in _PLAIN if name in data})


@frozen
class Rollout:
    """One rollout. Times are UTC in ISO 8601.

    `deployment` is the release that began it, `old` the version that was live then. `stages` are its shares and their
    times as texts, `stage` counts from 0 and began at `stage_since`. `preview`: the version has no traffic yet. `held`:
    who stopped it where it is; empty: nobody did. `approve`: each stage waits for a person.
    """

    id: int
    app: str
    version: str
    slot: Slot
    old: str
    deployment: int
    strategy: str
    stages: tuple[str, ...]
    stage: int
    stage_since: str
    actor: str
    began_at: str
    preview: bool = False
    held: str = ""
    approve: bool = False
    evidence: Evidence = field(default_factory=Evidence)
    ended_at: str | None = None
    outcome: RolloutOutcome | None = None
    why: str = ""

    @property
    def parsed(self) -> tuple[Stage, ...]:
        """The stages."""
        return tuple(parse(text) for text in self.stages)

    @property
    def share(self) -> int:
        """The candidate's share in this stage, in hundredths of a percent."""
        return 0 if self.preview else self.parsed[self.stage].share

    @property
    def last(self) -> bool:
        """Whether no stage follows, so that the candidate gets all requests next."""
        return self.stage + (0 if self.preview else 1) >= len(self.stages)

    @property
    def progress(self) -> progress.Rollout:
        """The facts that decide what happens next. Only a rollout with stages that is not previewed has them."""
        return progress.Rollout(
            self.id,
            self.app,
            self.version,
            self.slot,
            self.parsed,
            self.stage,
            epoch(self.stage_since),
            held=bool(self.held),
            approve=self.approve,
        )


def _row(counts: Counts) -> list[int]:
    return [counts.requests, counts.failures, counts.slow]
