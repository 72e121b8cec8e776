"""What happens next with a canary: it stays in its stage, advances, finishes or is aborted. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.rollout.stages import Stage
from orchestrator.domain.traffic.judge import Verdict
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.text import counted

MoveKind = Literal["stay", "advance", "finish", "abort"]
Idle = Literal["hold", "advance"]


@frozen
class Rollout:
    """A canary on its way through its stages.

    `stage` counts from 0, and `stage_since` is when it began, in seconds since the epoch. `held`: a person stopped it
    where it is. `approve`: every stage waits for a person at its end.
    """

    id: int
    app: str
    version: str
    slot: Slot
    stages: tuple[Stage, ...]
    stage: int
    stage_since: float
    held: bool = False
    approve: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.stage < len(self.stages):
            raise ValueError(f"rollout {self.id} has {len(self.stages)} stages, so there is no stage {self.stage}")


@frozen
class Move:
    """What is to be done with a rollout now, and why, in words for people.

    `advance`: to the next stage. `finish`: the candidate gets all traffic. `abort`: the old version gets it back.
    `since` is None, or what has to be recorded as the beginning of the stage, because the clock was set back.
    """

    kind: MoveKind
    why: str
    since: float | None = None


def next_move(
    rollout: Rollout,
    verdict: Verdict,
    alive_problem: str | None,
    requests_in_stage: int,
    now: float,
    idle: Idle,
    unanswered: int = 0,
) -> Move:
    """The next move of a rollout. It may be asked as often as one likes.

    Args:
        verdict: The judge's, by the evidence so far. Good ends a stage early if the candidate got a request in it.
        alive_problem: Why the candidate does not run or answer any more; None while it does.
        requests_in_stage: How many requests the candidate answered since the stage began.
        now: Seconds since the epoch, by a clock that may be set back.
        idle: What follows a stage in which the candidate got no request: `hold` it there, or `advance`.
        unanswered: How many requests it failed or has open, if it has answered none well in this stage; else 0. A
            version that hangs has open requests only, and nothing else shows it.
    """
    if alive_problem is not None:
        return Move("abort", f"{rollout.version} is not alive: {alive_problem}")
    if verdict == "bad":
        return Move("abort", f"{rollout.version} is worse than its limits, by the evidence of its requests")
    since = now if now < rollout.stage_since else None
    if rollout.held:
        return Move("stay", "on hold; to continue: deployctl resume", since)
    left = remaining(rollout, now)
    early = left > 0
    if early and not (verdict == "good" and requests_in_stage):
        return Move("stay", f"{_name(rollout)} ends in {_seconds(left)} s", since)
    if rollout.approve:
        return Move("stay", f"{_name(rollout)} is over; it waits for 'deployctl promote'", since)
    if unanswered:
        none = f"has answered none of its {counted(unanswered, 'request')}"
        return Move("stay", f"{_name(rollout)} is over, but {rollout.version} {none}", since)
    if not requests_in_stage and idle == "hold":
        none = f"{_name(rollout)} is over, but {rollout.version} got no request in it"
        return Move("stay", f'{none}; to go on: deployctl promote, or judge.idle = "advance"', since)
    why = f"{rollout.version} is proven good" if early else f"{_name(rollout)} is over"
    if not requests_in_stage:
        why += f", and {rollout.version} got no request in it"
    return Move("finish" if rollout.stage + 1 == len(rollout.stages) else "advance", why)


def remaining(rollout: Rollout, now: float) -> float:
    """How many seconds the stage still lasts: between 0 and its length.

    A clock that was set back, to before the beginning of the stage, lets the stage begin again: it is not known how
    long it lasted. So it never ends early, and never lasts longer than its length from now on.
    """
    length = rollout.stages[rollout.stage].seconds
    return min(length, max(0.0, length - (now - rollout.stage_since)))


def _name(rollout: Rollout) -> str:
    return f"stage {rollout.stage + 1} of {len(rollout.stages)}"


def _seconds(left: float) -> int:
    """Whole seconds, and not 0 as long as something is left."""
    return max(1, round(left))
