"""What the watchdog does about what it saw: a pure function of the look and of what it remembers.

Invariant: no decision takes a healthy container away. `decide` is held to it at its end.
Times are seconds since the epoch: they pass from one process to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from orchestrator.domain.traffic.comparison import Opinion

# While a version bakes, a way back stands ready: fewer deaths are enough.
_BAKE_DEATHS = 3


@dataclass(frozen=True)
class Rules:
    """The configuration's part of a decision. Times in seconds."""

    busy: float = 0.0
    restarts: int = 5
    window: float = 600.0
    backoff: float = 10.0
    auto_rollback: bool = True


@dataclass(frozen=True)
class Seen:
    """One replica of the live version. `ill` says why it must be repaired, empty when it need not be.

    `misses` says why it counts as unhealthy although it runs; `open` is how many requests it has. `fresh` is one that
    was started anew not long ago, at `started`. `died` is how often it has ended by itself and was started again by
    the engine, since somebody started it.
    """

    index: int
    name: str
    ill: str = ""
    misses: str = ""
    open: int = 0
    died: int = 0
    fresh: bool = False
    started: float = 0.0

    @property
    def healthy(self) -> bool:
        return not self.ill and not self.misses


@dataclass(frozen=True)
class Look:
    """Everything that one pass saw of an app at rest."""

    now: float
    version: str
    replicas: tuple[Seen, ...]
    # Why the proxy does not bring a request to a healthy container; empty when it does.
    unreachable: str = ""
    traffic: Opinion = field(default_factory=lambda: Opinion("inconclusive"))
    bake_until: float | None = None
    target: str | None = None
    cooling_until: float = 0.0


@dataclass(frozen=True)
class Attempts:
    """How often a replica was repaired lately, and when last."""

    count: int = 0
    last: float = 0.0


@dataclass(frozen=True)
class Memory:
    """What one pass leaves to the next. It is about one deployment; another one begins with a clean slate."""

    deployment: int = 0
    attempts: Mapping[int, Attempts] = field(default_factory=dict)
    missing_since: Mapping[int, float] = field(default_factory=dict)
    # Which start of a replica was seen to become ready.
    ready: Mapping[int, float] = field(default_factory=dict)
    # When which count of deaths was seen first, by replica: those of the window.
    deaths: Mapping[int, tuple[tuple[float, int], ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "deployment": self.deployment,
            "attempts": {str(index): [found.count, found.last] for index, found in self.attempts.items()},
            "missing_since": {str(index): since for index, since in self.missing_since.items()},
            "ready": {str(index): started for index, started in self.ready.items()},
            "deaths": {str(index): list(rows) for index, rows in self.deaths.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], deployment: int) -> Memory:
        if data.get("deployment") != deployment:
            return cls(deployment)
        return cls(
            deployment,
            {int(index): Attempts(*found) for index, found in data["attempts"].items()},
            {int(index): since for index, since in data["missing_since"].items()},
            {int(index): started for index, started in data["ready"].items()},
            {int(index): tuple((at, count) for at, count in rows) for index, rows in data["deaths"].items()},
        )


@dataclass(frozen=True)
class Act:
    """One thing to do. `repair` a replica, `promote` the version to stable, or `roll-back`."""

    kind: Literal["repair", "promote", "roll-back"]
    why: str
    index: int = 0


@dataclass(frozen=True)
class Decision:
    """What to do, what a person should know, and what to remember.

    `problems` are wrong and stay wrong after the acts; `waiting` are wrong and being worked on.
    """

    acts: tuple[Act, ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...]
    memory: Memory


def decide(look: Look, memory: Memory, rules: Rules) -> Decision:
    """Says what is to be done about `look`."""
    memory = _remember(look, memory, rules)
    booting = [seen for seen in look.replicas if _booting(seen, memory)]
    ill = [
        seen
        for seen in look.replicas
        if not seen.healthy and seen not in booting and not _busy(seen, look, memory, rules)
    ]
    lost = {seen.index: why for seen in look.replicas if (why := _hopeless(seen, look, memory, rules))}
    bad = _bad(look, memory, rules, ill, lost)
    if bad:
        obstacle = _obstacle(look, rules)
        if not obstacle:
            return Decision((Act("roll-back", bad),), (), (), memory)
        problems = [f"{bad}, and {obstacle}"]
    else:
        problems = [f"{look.version} is degraded: {why}" for why in lost.values()]
    if look.unreachable and not ill:
        problems.append(look.unreachable)
    acts = []
    waiting = [f"{seen.name} is starting: {seen.misses}" for seen in booting if seen.index not in lost]
    attempts = dict(memory.attempts)
    for seen in ill:
        if seen.index in lost:
            continue
        before = attempts.get(seen.index, Attempts())
        wait = before.last + _pause(before, rules) - look.now if before.count else 0.0
        if wait > 0:
            waiting.append(f"{seen.name}: {seen.ill or seen.misses}; tried again in {wait:.0f} s")
            continue
        acts.append(Act("repair", seen.ill or seen.misses, seen.index))
        attempts[seen.index] = Attempts(before.count + 1, look.now)
    if look.bake_until is not None and look.now >= look.bake_until and not bad:
        if all(seen.healthy for seen in look.replicas) and not lost:
            acts.append(Act("promote", look.traffic.why))
        else:
            waiting.append(f"the bake of {look.version} is extended until all its containers are healthy")
    decision = Decision(tuple(acts), tuple(problems), tuple(waiting), replace(memory, attempts=attempts))
    check(look, decision)
    return decision


def check(look: Look, decision: Decision) -> None:
    """Holds a decision to the invariant of this module.

    Raises:
        ValueError: it would take a healthy container away.
    """
    healthy = {seen.index for seen in look.replicas if seen.healthy}
    for act in decision.acts:
        if act.kind == "repair" and act.index in healthy:
            raise ValueError(f"replica {act.index} of {look.version} is healthy and must be left alone")


def deaths(memory: Memory, index: int) -> int:
    """How often a replica has ended by itself within the window."""
    rows = memory.deaths.get(index, ())
    return rows[-1][1] - rows[0][1] if rows else 0


def _remember(look: Look, memory: Memory, rules: Rules) -> Memory:
    attempts, missing, died, ready = {}, {}, {}, dict(memory.ready)
    for seen in look.replicas:
        before = memory.attempts.get(seen.index)
        if before is not None:
            # A clock that was set back must not make a wait of a day.
            before = Attempts(before.count, min(before.last, look.now))
            if not seen.healthy or look.now - before.last < rules.window:
                attempts[seen.index] = before
        if seen.healthy:
            ready[seen.index] = seen.started
        if seen.misses:
            missing[seen.index] = min(memory.missing_since.get(seen.index, look.now), look.now)
        rows = [(min(at, look.now), count) for at, count in memory.deaths.get(seen.index, ()) if count <= seen.died]
        if not rows:
            # A version that bakes is young: all its deaths count. Those of an older one may be of last year.
            young = look.bake_until is not None and seen.index not in memory.deaths
            rows = [(look.now, 0 if young else seen.died)]
        if rows[-1][1] != seen.died:
            rows.append((look.now, seen.died))
        # The last count from before the window is what the window began with.
        while len(rows) > 1 and rows[1][0] < look.now - rules.window:
            rows.pop(0)
        died[seen.index] = tuple(rows)
    return replace(memory, attempts=attempts, missing_since=missing, ready=ready, deaths=died)


def _booting(seen: Seen, memory: Memory) -> bool:
    """One that was started anew, and has not been ready since: that takes its time."""
    return bool(seen.misses) and seen.fresh and memory.ready.get(seen.index) != seen.started


def _busy(seen: Seen, look: Look, memory: Memory, rules: Rules) -> bool:
    """A model that works on a request may have no time for probes; how long, is for its owner to say."""
    since = memory.missing_since.get(seen.index, look.now)
    return not seen.ill and seen.open > 0 and look.now - since < rules.busy


def _hopeless(seen: Seen, look: Look, memory: Memory, rules: Rules) -> str:
    """Why repairing this replica again makes no sense; empty when it does."""
    limit = min(rules.restarts, _BAKE_DEATHS) if look.bake_until is not None else rules.restarts
    count = deaths(memory, seen.index)
    if count >= limit:
        return f"{seen.name} ended {count} times within {rules.window:.0f} s"
    tried = memory.attempts.get(seen.index, Attempts()).count
    if not seen.healthy and tried >= rules.restarts:
        return f"{seen.name} was repaired {tried} times and is down again: {seen.ill or seen.misses}"
    return ""


def _bad(look: Look, memory: Memory, rules: Rules, ill: list[Seen], lost: Mapping[int, str]) -> str:
    """Why the version as a whole is bad; empty when it is not."""
    if look.bake_until is not None:
        if look.traffic.verdict == "bad":
            return f"{look.version} went bad while baking: {look.traffic.why}"
        reasons = [*lost.values(), *(f"{seen.name}: {seen.misses}" for seen in ill if seen.misses)]
        return f"{look.version} went bad while baking: {reasons[0]}" if reasons else ""
    # A stable version is given up only when nothing of it is left to serve.
    useless = {seen.index for seen in ill} | set(lost)
    if lost and len(useless) == len(look.replicas):
        return f"{look.version} cannot be healed: {next(iter(lost.values()))}"
    return ""


def _obstacle(look: Look, rules: Rules) -> str:
    """Why it is not rolled back; empty when it can be."""
    if not rules.auto_rollback:
        return "watchdog.auto_rollback is off"
    if look.target is None:
        return "there is no stable version to roll back to"
    if look.now < look.cooling_until:
        return f"the last automatic rollback was too recent: {look.cooling_until - look.now:.0f} s to wait"
    return ""


def _pause(before: Attempts, rules: Rules) -> float:
    return float(rules.backoff * 2 ** (min(before.count, 16) - 1))
