"""What the watchdog does, decided from what it observed and what it remembers. Pure.

Invariant: no decision repairs a container that is healthy, busy, or whose process answers. `check` verifies every
decision. Times are seconds since the epoch: they pass from one process to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.domain.watch.look import Look, Replica, Rules
from orchestrator.domain.watch.memory import Attempts, Memory, exits, new_exits, remember
from orchestrator.frozen import frozen
from orchestrator.text import counted

# While a version bakes, its predecessor is ready to take over, so fewer exits are tolerated; and none right after the
# switch, when nothing but the version itself has changed.
_BAKE_EXITS = 3
_SETTLE_EXITS = 1
# How long after its end the engine has restarted a container, at the first time, at most. Seconds.
_RESTARTED_AFTER = 0.5
# A version that bakes is bad only when it is not ready at all looks within this time: one pause of a few seconds, of
# the model or of what it depends on, does not condemn it, and the predecessor answers meanwhile. Seconds.
_BAKE_PATIENCE = 10.0

Condition = Literal["healthy", "starting", "busy", "not ready", "restarting", "faulty", "hung"]


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
    `unhealthy` are replicas that are not healthy and that no act repairs: while there are any, the app is not well.
    `ended` is how often each replica has ended by itself, and was restarted by the engine, since the last look.
    """

    acts: tuple[Act, ...]
    problems: tuple[str, ...]
    waiting: tuple[str, ...]
    memory: Memory
    unhealthy: tuple[int, ...] = ()
    ended: Mapping[int, int] = field(default_factory=dict)


def decide(look: Look, memory: Memory, rules: Rules) -> Decision:
    """Decides what to do about `look`.

    Raises:
        ValueError: the decision would break the invariant of this module: an internal error.
    """
    before, memory = memory, remember(look, memory, rules)
    ended = new_exits(before, memory)
    found = _Findings(look, memory, rules)
    bad = _version_bad(found)
    if bad:
        obstacle = _rollback_obstacle(look, rules)
        if not obstacle:
            return Decision((Act("roll-back", bad),), (), (), memory, ended=ended)
        problems = [f"{bad}, and {obstacle}"]
    else:
        problems = [f"{look.version} is degraded: {why}" for why in found.failed.values()]
    problems += [f"{each.name} is not ready: {each.probe_failure}" for each in found.which("not ready")]
    if look.unreachable and not found.which("faulty", "hung"):
        problems.append(look.unreachable)
    repairs, waiting = _repairs(found, memory, patient=not bad)
    acts = [*repairs]
    # While it bakes, the predecessor answers.
    alone = not look.baking or look.target is None
    if alone and not found.serves and not repairs and not bad:
        first = found.which(*_UNWELL)[0]
        problems.append(f"{look.version} does not answer: {first.name}: {first.fault or first.probe_failure}")
    if look.bake_until is not None and look.now >= look.bake_until and not bad:
        if look.unanswered:
            none = f"it has answered none of its {counted(look.unanswered, 'request')}"
            waiting.append(f"the bake of {look.version} is extended: {none}")
        elif all(each.healthy for each in look.replicas) and not found.failed:
            acts.append(Act("promote", look.traffic.why))
        else:
            waiting.append(f"the bake of {look.version} is extended until all its containers are healthy")
    attempts = dict(memory.attempts)
    for act in repairs:
        attempts[act.index] = Attempts(attempts.get(act.index, Attempts()).count + 1, look.now)
    handled = {act.index for act in repairs}
    unwell = tuple(each.index for each in found.which(*_UNWELL) if each.index not in handled)
    memory = replace(memory, attempts=attempts)
    decision = Decision(tuple(acts), tuple(problems), tuple(waiting), memory, unwell, ended)
    check(look, decision)
    return decision


def check(look: Look, decision: Decision) -> None:
    """Checks a decision against the invariant of this module.

    Raises:
        ValueError: it would repair a container that is healthy, or that only is not ready.
    """
    for replica in look.replicas:
        if not any(act.kind == "repair" and act.index == replica.index for act in decision.acts):
            continue
        if replica.healthy:
            raise ValueError(f"replica {replica.index} of {look.version} is healthy and must not be repaired")
        if replica.answers and not replica.fault:
            raise ValueError(f"replica {replica.index} of {look.version} answers and must not be repaired")


_UNWELL: tuple[Condition, ...] = ("starting", "not ready", "restarting", "faulty", "hung")
_DOWN: tuple[Condition, ...] = ("restarting", "faulty", "hung")


@dataclass
class _Findings:
    """The condition of each replica, and why those are beyond repair that are."""

    look: Look
    memory: Memory
    rules: Rules
    conditions: dict[int, Condition] = field(init=False)
    failed: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self.conditions = {each.index: condition(each, self.look, self.memory, self.rules) for each in self.replicas}
        reasons = {each.index: self._beyond_repair(each) for each in self.replicas}
        self.failed = {index: why for index, why in reasons.items() if why}

    @property
    def replicas(self) -> tuple[Replica, ...]:
        return self.look.replicas

    @property
    def serves(self) -> bool:
        """Whether any replica may answer requests."""
        return bool(self.which("healthy", "busy", "not ready"))

    def which(self, *conditions: Condition) -> list[Replica]:
        return [each for each in self.replicas if self.conditions[each.index] in conditions]

    def patience(self, replica: Replica) -> float:
        """How much longer a version that bakes may have this replica not ready, in seconds."""
        since = self.memory.missing_since.get(replica.index, self.look.now)
        return since + _BAKE_PATIENCE - self.look.now

    def _settles(self, replica: Replica) -> bool:
        """Whether the settle time is not over, or was not when the replica ended: the engine restarts it at once."""
        end = self.look.since + self.rules.settle
        return self.look.now <= end or self.look.since < replica.started_at <= end + _RESTARTED_AFTER

    def _beyond_repair(self, replica: Replica) -> str:
        """Why repairing this replica again would not help; empty when it may help."""
        rules = self.rules
        limit = min(rules.restarts, _BAKE_EXITS) if self.look.baking else rules.restarts
        if self.look.baking and self._settles(replica):
            limit = _SETTLE_EXITS
        count = exits(self.memory, replica.index)
        if count >= limit:
            return f"{replica.name} exited {'once' if count == 1 else f'{count} times'} within {rules.window:.0f} s"
        repairs = self.memory.attempts.get(replica.index, Attempts()).count
        if self.conditions[replica.index] in ("faulty", "hung") and repairs >= rules.restarts:
            reason = replica.fault or replica.probe_failure
            return f"{replica.name} was repaired {repairs} times and is down again: {reason}"
        return ""


def condition(replica: Replica, look: Look, memory: Memory, rules: Rules) -> Condition:
    """What a replica is, by what was observed and remembered (`memory` includes this look)."""
    if replica.healthy:
        return "healthy"
    if replica.restarting:
        return "restarting"
    if replica.fault:
        return "faulty"
    if replica.recently_started and memory.ready.get(replica.index) != replica.started_at:
        return "starting"  # it has not been ready since that start
    if replica.answers:
        return "not ready"
    since = memory.missing_since.get(replica.index, look.now)
    # A model that answers one request at a time misses its probes while it works.
    return "busy" if replica.open_requests > 0 and look.now - since < rules.busy else "hung"


def _version_bad(found: _Findings) -> str:
    """Why the version as a whole is bad; empty when it is not."""
    look = found.look
    if look.baking:
        if look.traffic.verdict == "bad":
            return f"{look.version} failed its bake: {look.traffic.why}"
        # When the predecessor is not ready either, the reason is what both depend on.
        suspects = found.which("hung", "not ready") if look.predecessor_ready else found.which("hung")
        lasting = [f"{each.name}: {each.probe_failure}" for each in suspects if found.patience(each) <= 0]
        reasons = [*found.failed.values(), *lasting]
        return f"{look.version} failed its bake: {reasons[0]}" if reasons else ""
    # A stable version is bad only when none of its replicas can serve.
    unusable = {each.index for each in found.which(*_DOWN)} | set(found.failed)
    if found.failed and len(unusable) == len(look.replicas):
        return f"{look.version} cannot be repaired: {next(iter(found.failed.values()))}"
    return ""


def _repairs(found: _Findings, memory: Memory, *, patient: bool) -> tuple[list[Act], list[str]]:
    """The repairs that are due, and what is waited for. `patient`: a version that bakes is given time."""
    look, rules = found.look, found.rules
    acts, waiting = [], []
    for replica in found.replicas:
        state, name = found.conditions[replica.index], replica.name
        if state in ("healthy", "not ready") or replica.index in found.failed:
            continue
        why = replica.fault or replica.probe_failure
        before = memory.attempts.get(replica.index, Attempts())
        wait = before.last + _pause(before, rules) - look.now if before.count else 0.0
        if state == "starting":
            waiting.append(f"{name} is starting: {why}")
        elif state == "busy":
            requests = f"{replica.open_requests} request{'' if replica.open_requests == 1 else 's'}"
            waiting.append(f"{name} is busy with {requests}: {why}")
        elif state == "restarting":
            waiting.append(f"{name}: {why or 'it has exited'}; the engine restarts it")
        elif state == "hung" and look.baking and patient:
            waiting.append(f"{name} does not answer: {why}; the bake fails if that lasts")
        elif wait > 0:
            waiting.append(f"{name}: {why}; next attempt in {wait:.0f} s")
        else:
            acts.append(Act("repair", why, replica.index))
    return acts, waiting


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
