"""What the watchdog does, decided from what it observed and what it remembers. Pure.

Invariant: no decision repairs a healthy container. `check` verifies every decision.
Times are seconds since the epoch: they pass from one process to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Literal

from orchestrator.domain.traffic.comparison import Assessment
from orchestrator.frozen import frozen

# While a version bakes, its predecessor is ready to take over, so fewer exits are tolerated.
_BAKE_EXITS = 3


@frozen
class Rules:
    """The settings of the configuration that decide. Times in seconds."""

    busy: float = 0.0
    restarts: int = 5
    window: float = 600.0
    backoff: float = 10.0
    auto_rollback: bool = True


@frozen
class Replica:
    """One replica of the live version, as the watchdog observed it.

    `fault` says why it must be repaired, empty when it need not be. `probe_failure` says why it counts as unhealthy
    although it runs. `exits` is how often the engine has restarted it after it ended by itself. `recently_started`: it
    was started after the version went live, at `started_at`, and still has time to become ready.
    """

    index: int
    name: str
    fault: str = ""
    probe_failure: str = ""
    open_requests: int = 0
    exits: int = 0
    recently_started: bool = False
    started_at: float = 0.0

    @property
    def healthy(self) -> bool:
        return not self.fault and not self.probe_failure


@frozen
class Look:
    """What one pass observed of an app at rest."""

    now: float
    version: str
    replicas: tuple[Replica, ...]
    # Why the proxy does not pass requests on to healthy containers; empty when it does.
    unreachable: str = ""
    traffic: Assessment = field(default_factory=lambda: Assessment("inconclusive"))
    bake_until: float | None = None
    target: str | None = None
    cooling_until: float = 0.0


@frozen
class Attempts:
    """How often a replica was repaired within the window, and when it was repaired last."""

    count: int = 0
    last: float = 0.0


@frozen
class Memory:
    """What one pass keeps for the next. It belongs to one deployment; another deployment begins with an empty one."""

    deployment: int = 0
    attempts: Mapping[int, Attempts] = field(default_factory=dict)
    # Since when each unhealthy replica has failed its probes.
    missing_since: Mapping[int, float] = field(default_factory=dict)
    # The start time of each replica that has been ready since that start.
    ready: Mapping[int, float] = field(default_factory=dict)
    # For each replica the counts of exits within the window, each with the time at which it was first observed.
    exits: Mapping[int, tuple[tuple[float, int], ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "deployment": self.deployment,
            "attempts": {str(index): [attempts.count, attempts.last] for index, attempts in self.attempts.items()},
            "missing_since": {str(index): since for index, since in self.missing_since.items()},
            "ready": {str(index): started_at for index, started_at in self.ready.items()},
            "exits": {str(index): list(counts) for index, counts in self.exits.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], deployment: int) -> Memory:
        if data.get("deployment") != deployment:
            return cls(deployment)
        return cls(
            deployment,
            {int(index): Attempts(*attempts) for index, attempts in data["attempts"].items()},
            {int(index): since for index, since in data["missing_since"].items()},
            {int(index): started_at for index, started_at in data["ready"].items()},
            {int(index): tuple((at, count) for at, count in counts) for index, counts in data["exits"].items()},
        )


@frozen
class Act:
    """One thing to do: `repair` a replica, `promote` the version to stable, or `roll-back`."""

    kind: Literal["repair", "promote", "roll-back"]
    why: str
    index: int = 0


@frozen
class Decision:
    """What to do, what to report, and what to remember.

    `problems` need a person and remain after the acts; `waiting` are conditions that the watchdog is handling.
    """

    acts: tuple[Act, ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...]
    memory: Memory


def decide(look: Look, memory: Memory, rules: Rules) -> Decision:
    """Decides what to do about `look`.

    Raises:
        ValueError: the decision would break the invariant of this module: an internal error.
    """
    memory = _remember(look, memory, rules)
    booting = [replica for replica in look.replicas if _booting(replica, memory)]
    unhealthy = [
        replica
        for replica in look.replicas
        if not replica.healthy and replica not in booting and not _busy(replica, look, memory, rules)
    ]
    failed = {replica.index: why for replica in look.replicas if (why := _beyond_repair(replica, look, memory, rules))}
    bad = _version_bad(look, unhealthy, failed)
    if bad:
        obstacle = _rollback_obstacle(look, rules)
        if not obstacle:
            return Decision((Act("roll-back", bad),), (), (), memory)
        problems = [f"{bad}, and {obstacle}"]
    else:
        problems = [f"{look.version} is degraded: {why}" for why in failed.values()]
    if look.unreachable and not unhealthy:
        problems.append(look.unreachable)
    acts = []
    waiting = [
        f"{replica.name} is starting: {replica.probe_failure}" for replica in booting if replica.index not in failed
    ]
    attempts = dict(memory.attempts)
    for replica in unhealthy:
        if replica.index in failed:
            continue
        why = replica.fault or replica.probe_failure
        before = attempts.get(replica.index, Attempts())
        wait = before.last + _pause(before, rules) - look.now if before.count else 0.0
        if wait > 0:
            waiting.append(f"{replica.name}: {why}; next attempt in {wait:.0f} s")
            continue
        acts.append(Act("repair", why, replica.index))
        attempts[replica.index] = Attempts(before.count + 1, look.now)
    if look.bake_until is not None and look.now >= look.bake_until and not bad:
        if all(replica.healthy for replica in look.replicas) and not failed:
            acts.append(Act("promote", look.traffic.why))
        else:
            waiting.append(f"the bake of {look.version} is extended until all its containers are healthy")
    decision = Decision(tuple(acts), tuple(problems), tuple(waiting), replace(memory, attempts=attempts))
    check(look, decision)
    return decision


def check(look: Look, decision: Decision) -> None:
    """Checks a decision against the invariant of this module.

    Raises:
        ValueError: it would repair a healthy container.
    """
    healthy = {replica.index for replica in look.replicas if replica.healthy}
    for act in decision.acts:
        if act.kind == "repair" and act.index in healthy:
            raise ValueError(f"replica {act.index} of {look.version} is healthy and must not be repaired")


def exits(memory: Memory, index: int) -> int:
    """How often a replica has ended by itself within the window."""
    counts = memory.exits.get(index, ())
    return counts[-1][1] - counts[0][1] if counts else 0


def _remember(look: Look, memory: Memory, rules: Rules) -> Memory:
    attempts, missing, exit_counts, ready = {}, {}, {}, dict(memory.ready)
    for replica in look.replicas:
        before = memory.attempts.get(replica.index)
        if before is not None:
            # After the clock was set back, the wait must not become longer than it was.
            before = Attempts(before.count, min(before.last, look.now))
            if not replica.healthy or look.now - before.last < rules.window:
                attempts[replica.index] = before
        if replica.healthy:
            ready[replica.index] = replica.started_at
        if replica.probe_failure:
            missing[replica.index] = min(memory.missing_since.get(replica.index, look.now), look.now)
        exit_counts[replica.index] = _exit_counts(replica, look, memory, rules)
    return replace(memory, attempts=attempts, missing_since=missing, ready=ready, exits=exit_counts)


def _exit_counts(replica: Replica, look: Look, memory: Memory, rules: Rules) -> tuple[tuple[float, int], ...]:
    """The counts of exits within the window, and the last one from before it, which they are compared with."""
    known = memory.exits.get(replica.index, ())
    # A lower count than before means that the container is a new one.
    counts = [(min(at, look.now), count) for at, count in known if count <= replica.exits]
    if not counts:
        # A version that bakes is new, so all its exits count. Those of an older one may have happened long ago.
        new = look.bake_until is not None and replica.index not in memory.exits
        counts = [(look.now, 0 if new else replica.exits)]
    if counts[-1][1] != replica.exits:
        counts.append((look.now, replica.exits))
    while len(counts) > 1 and counts[1][0] < look.now - rules.window:
        counts.pop(0)
    return tuple(counts)


def _booting(replica: Replica, memory: Memory) -> bool:
    """Whether the replica was started recently and has not been ready since."""
    started = replica.recently_started and memory.ready.get(replica.index) != replica.started_at
    return bool(replica.probe_failure) and started


def _busy(replica: Replica, look: Look, memory: Memory, rules: Rules) -> bool:
    """Whether the replica fails its probes because it works on requests; accepted for `rules.busy` seconds."""
    since = memory.missing_since.get(replica.index, look.now)
    return not replica.fault and replica.open_requests > 0 and look.now - since < rules.busy


def _beyond_repair(replica: Replica, look: Look, memory: Memory, rules: Rules) -> str:
    """Why repairing this replica again would not help; empty when it may help."""
    limit = min(rules.restarts, _BAKE_EXITS) if look.bake_until is not None else rules.restarts
    count = exits(memory, replica.index)
    if count >= limit:
        return f"{replica.name} ended {count} times within {rules.window:.0f} s"
    repairs = memory.attempts.get(replica.index, Attempts()).count
    if not replica.healthy and repairs >= rules.restarts:
        reason = replica.fault or replica.probe_failure
        return f"{replica.name} was repaired {repairs} times and is down again: {reason}"
    return ""


def _version_bad(look: Look, unhealthy: list[Replica], failed: Mapping[int, str]) -> str:
    """Why the version as a whole is bad; empty when it is not."""
    if look.bake_until is not None:
        if look.traffic.verdict == "bad":
            return f"{look.version} went bad while baking: {look.traffic.why}"
        failing = (f"{replica.name}: {replica.probe_failure}" for replica in unhealthy if replica.probe_failure)
        reasons = [*failed.values(), *failing]
        return f"{look.version} went bad while baking: {reasons[0]}" if reasons else ""
    # A stable version is bad only when none of its replicas can serve.
    unusable = {replica.index for replica in unhealthy} | set(failed)
    if failed and len(unusable) == len(look.replicas):
        return f"{look.version} cannot be healed: {next(iter(failed.values()))}"
    return ""


def _rollback_obstacle(look: Look, rules: Rules) -> str:
    """Why no automatic rollback is possible; empty when one is."""
    if not rules.auto_rollback:
        return "watchdog.auto_rollback is off"
    if look.target is None:
        return "there is no stable version to roll back to"
    if look.now < look.cooling_until:
        return f"the last automatic rollback was too recent: {look.cooling_until - look.now:.0f} s to wait"
    return ""


def _pause(before: Attempts, rules: Rules) -> float:
    """How long to wait after the last attempt, in seconds: twice as long after each one."""
    return float(rules.backoff * 2 ** (min(before.count, 16) - 1))
