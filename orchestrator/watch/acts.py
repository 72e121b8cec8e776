"""The actions of the watchdog: repair a replica, promote a version, roll back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from orchestrator.config import Config
from orchestrator.config.notify import Notice
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.way_back import WayBack
from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import DeployctlError, EngineUnreachable, Interrupted, OperationFailed
from orchestrator.ports.services import Services
from orchestrator.release.rollback import roll_back as carry_out
from orchestrator.supply.tagging import tag
from orchestrator.watch.look import View

ACTOR = "watchdog"
# The exit code of a killed process; the kernel kills processes when memory runs out.
_KILLED = 137
_HOUR = 3600.0


class Event(NamedTuple):
    """What is sent as a notification. `title` is its title without the app's name; empty: the usual one."""

    notice: Notice
    text: str
    title: str = ""


@dataclass
class Acted:
    """The result of one act, in words; `live` is the version that is live now, if the act changed it."""

    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    live: str | None = None


def what_ended(services: Services, view: View, ended: Mapping[int, int], since: float) -> list[str]:
    """Says which containers have exited and were restarted by the engine, and which ran out of memory.

    `ended` is how often each replica has exited since the last look, `since` the time of that look.

    Raises:
        EngineUnreachable: the engine does not answer.
    """
    seen = []
    for index, container in sorted(view.healer.containers.items()):
        count = ended.get(index, 0)
        # Without a limit of its own, a container has no kill that the engine knows of, unless somebody has set one.
        limited = view.healer.config.run.memory is not None
        kills = _memory_kills(services, container, since, view.look.now) if count or limited else 0
        if container.state == "exited" or not (count or kills):
            continue  # what has exited is repaired, and reported with that
        memory = f"out of memory {_times(kills)}" if kills else ""
        if count:
            text = f"{container.name} exited {_times(count)}, and the engine restarted it"
            text += f": {memory}" if memory else ""
        else:
            text = f"{container.name}: {memory}; the kernel killed a process in it"
        seen.append(text)
    return seen


def _memory_kills(services: Services, container: Container, since: float, until: float) -> int:
    try:
        return services.access.memory_kills(container, since, until)
    except EngineUnreachable:
        raise
    except OperationFailed:
        return 0  # it was removed in the meantime


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def repair(services: Services, view: View, index: int, why: str) -> Acted:
    """Repairs a replica of the live version; restarts it when the engine reports no fault.

    Raises:
        EngineUnreachable: the engine does not answer.
    """
    healer = view.healer
    name = healer.name(index)
    try:
        done = healer.repair(index) if healer.fault(index) else [healer.restart(index)]
    except EngineUnreachable:
        raise
    except OperationFailed as error:
        return Acted(problems=[f"{name}: {why}, and the repair failed: {error}"])
    if not done:
        return Acted()
    container = healer.containers.get(index)
    kills = 0
    if container is not None and container.exit_code == _KILLED:
        kills = services.access.memory_kills(container, view.look.now - _HOUR)
    memory = f"; out of memory {_times(kills)} in the last hour" if kills else ""
    text = f"{', '.join(done)}: {why}{memory}"
    services.ledger.event(healer.app, "healed", {"version": view.look.version, "what": text})
    return Acted(done=[text], events=[Event("healed", text)], counts=Counter({"healed": 1}))


def promote(services: Services, config: Config) -> None:
    """Ends the bake: marks the version as stable. Its fallback stays as long as it is warm. May be repeated."""
    app = config.app.name
    live = services.live(app)
    if live is None:
        return
    # The tag first: if the pass is killed afterwards, the next one promotes again and keeps the tag.
    tag(services, config, live.version, iso(services.wall()))
    services.ledger.mark_stable(app, live.version)
    services.ledger.set_slot(replace(live, bake_until=None))


def roll_back(services: Services, config: Config, observed: Observed, view: View, why: str) -> Acted:
    """Rolls back to the target in `view`.

    Raises:
        Interrupted: a signal came before the switch; the rollback was undone.
    """
    back = view.back
    assert back is not None, "decide() rolls back only when there is a target"
    acted = Acted(counts=Counter({"auto-rollback": 1}))
    evidence = {"why": why, "traffic": str(view.new), "before": str(view.old) if view.old else None}
    services.ledger.event(observed.app, "auto-rollback", evidence)
    try:
        carry_out(services, config, observed, back, actor=ACTOR, kind="auto-rollback", reason=why)
    except Interrupted:
        # Before the switch, the rollback was undone; the next pass repeats it. After it, only a wait was cut short.
        if not _serves(services, observed.app, back):
            raise
    except DeployctlError as error:
        acted.problems.append(f"{why}; the rollback to {back.version} failed: {error}; next: {error.hint}")
        return acted
    title = f"{view.look.version} rolled back to {back.version}"
    text = f"{title}: {why}"
    acted.done.append(text)
    acted.events.append(Event("rolled back", text, title))
    acted.live = back.version
    return acted


def _serves(services: Services, app: str, back: WayBack) -> bool:
    live = services.live(app)
    return live is not None and (live.slot, live.version) == (back.slot, back.version)
