"""What the watchdog remembers from one look to the next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from orchestrator.domain.watch.look import Look, Replica, Rules
from orchestrator.frozen import frozen

Counts = tuple[tuple[float, int], ...]
"""Totals, each with the time at which it was first observed."""


@frozen
class Attempts:
    """How often a replica was repaired within the window, and when it was repaired last."""

    count: int = 0
    last: float = 0.0


@frozen
class Memory:
    """What one look keeps for the next. It belongs to one deployment; another deployment begins with an empty one.

    `at` is the time of the last look, 0 before the first one.
    """

    deployment: int = 0
    at: float = 0.0
    attempts: Mapping[int, Attempts] = field(default_factory=dict)
    # Since when each replica that is not ready has failed its probes without answering a request.
    missing_since: Mapping[int, float] = field(default_factory=dict)
    # The start time of each replica that has been ready since that start.
    ready: Mapping[int, float] = field(default_factory=dict)
    # For each replica how often it has ended since the first look: the totals within the window.
    exits: Mapping[int, Counts] = field(default_factory=dict)
    # The engine's own count of restarts at the last look. It begins again when a container is started or recreated.
    restarts: Mapping[int, int] = field(default_factory=dict)
    # How many requests each replica had answered at the last look, when one of them was not ready.
    answered: Mapping[int, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "deployment": self.deployment,
            "at": self.at,
            "attempts": {str(index): [attempts.count, attempts.last] for index, attempts in self.attempts.items()},
            "exits": {str(index): list(counts) for index, counts in self.exits.items()},
            **{name: {str(index): value for index, value in getattr(self, name).items()} for name in _PLAIN},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], deployment: int) -> Memory:
        if data.get("deployment") != deployment:
            return cls(deployment)
        return cls(
            deployment,
            data.get("at", 0.0),
            {int(index): Attempts(*attempts) for index, attempts in data["attempts"].items()},
            exits={int(index): tuple((at, count) for at, count in counts) for index, counts in data["exits"].items()},
            **{name: {int(index): value for index, value in data.get(name, {}).items()} for name in _PLAIN},
        )


_PLAIN = ("missing_since", "ready", "restarts", "answered")


def exits(memory: Memory, index: int) -> int:
    """How often a replica has ended by itself within the window."""
    counts = memory.exits.get(index, ())
    return counts[-1][1] - counts[0][1] if counts else 0


def new_exits(before: Memory, after: Memory) -> dict[int, int]:
    """How often each replica has ended by itself between two looks; one that has not is missing."""
    known = {index: counts[-1][1] for index, counts in before.exits.items() if counts}
    ended = {index: counts[-1][1] - known.get(index, counts[0][1]) for index, counts in after.exits.items() if counts}
    return {index: count for index, count in ended.items() if count > 0}


def remember(look: Look, memory: Memory, rules: Rules) -> Memory:
    """The memory after `look`, before anything is done about it."""
    attempts, missing, counts, ready = {}, {}, {}, dict(memory.ready)
    for replica in look.replicas:
        index = replica.index
        before = memory.attempts.get(index)
        if before is not None:
            # After the clock was set back, the wait must not become longer than it was.
            before = Attempts(before.count, min(before.last, look.now))
            if not replica.healthy or look.now - before.last < rules.window:
                attempts[index] = before
        if replica.healthy:
            ready[index] = replica.started_at
        if replica.probe_failure:
            missing[index] = _missing_since(replica, look, memory)
        counts[index] = _exit_counts(replica, look, memory, rules)
    return replace(
        memory,
        at=look.now,
        attempts=attempts,
        missing_since=missing,
        ready=ready,
        exits=counts,
        restarts={replica.index: replica.exits for replica in look.replicas},
        answered={replica.index: replica.answered for replica in look.replicas if replica.answered is not None},
    )


def _missing_since(replica: Replica, look: Look, memory: Memory) -> float:
    """Since when the replica is not ready. A new start, and a request that it has answered, begin a new time."""
    known = memory.missing_since.get(replica.index, look.now - replica.missed)
    before, now = memory.answered.get(replica.index), replica.answered
    # Fewer than before: the proxy was replaced or has reloaded, and a process of it that had counted them has ended.
    if before is not None and now is not None and now > (0 if now < before else before):
        known = look.now
    # After the clock was set back, the time must not begin in the future.
    return min(max(known, replica.started_at), look.now)


def _exit_counts(replica: Replica, look: Look, memory: Memory, rules: Rules) -> Counts:
    """The totals within the window, and the last one from before it, which they are compared with."""
    known = memory.exits.get(replica.index)
    if not known:
        happened = _exits_before_the_first_look(replica, look, rules)
        return ((look.now, 0), (look.now, happened)) if happened else ((look.now, 0),)
    counts = [(min(at, look.now), total) for at, total in known]
    last = memory.restarts.get(replica.index, replica.exits)
    # A lower count than before: the container was started or recreated, and the engine counts from 0 again.
    again = replica.exits < last
    if again and not _repaired_since(memory, replica.index):
        # Not by the watchdog but by a person, who may have fixed the cause.
        return ((look.now, 0), (look.now, replica.exits)) if replica.exits else ((look.now, 0),)
    ended = replica.exits if again else replica.exits - last
    if ended:
        counts.append((look.now, counts[-1][1] + ended))
    while len(counts) > 1 and counts[1][0] < look.now - rules.window:
        counts.pop(0)
    return tuple(counts)


def _repaired_since(memory: Memory, index: int) -> bool:
    """Whether the watchdog has repaired the replica after the last look."""
    attempts = memory.attempts.get(index)
    return attempts is not None and attempts.last >= memory.at


def _exits_before_the_first_look(replica: Replica, look: Look, rules: Rules) -> int:
    """How often it has ended since the version went live, as far as that was within the window."""
    since_live = max(0, replica.exits - replica.exits_before)
    if look.baking or look.now - look.since <= rules.window:
        return since_live
    # The engine counts restarts without their times: only the last one is known, it was the last start.
    return min(1, since_live) if look.now - replica.started_at <= rules.window else 0
