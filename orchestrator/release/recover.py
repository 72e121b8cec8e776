"""Recovery: what every changing command does first.

It finishes an interrupted removal, finishes or undoes an interrupted deployment, repairs the proxy and the live
containers, and stops a previous version whose `rollout.keep_warm` time is over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.deployment import Deployment, Outcome, StepRecord
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.recovery import Recovery
from orchestrator.domain.rollout.recovery import recover as decide
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.errors import ProxyError
from orchestrator.ports.services import Services
from orchestrator.release.addresses import follow
from orchestrator.release.executor import carry_on
from orchestrator.release.heal import heal
from orchestrator.release.observe import healthy, observe
from orchestrator.release.open_requests import wait_until_closed
from orchestrator.release.removal import finish_removal
from orchestrator.release.retention import forget_secrets
from orchestrator.release.slots import end_lost_shield, note_cold, park, remove_shield
from orchestrator.release.steps import restored
from orchestrator.release.work import Work
from orchestrator.supply.tidy import tidy
from orchestrator.text import counted


@dataclass
class Recovered:
    """What was done: the deployment that was finished or undone, and what was repaired, in words.

    `failed` is what could not be repaired. `observed` is the last observed state; None when something was changed
    afterwards.
    """

    deployment: int | None = None
    direction: Literal["finish", "undo"] | None = None
    repaired: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    observed: Observed | None = None

    @property
    def anything(self) -> bool:
        """Whether anything was changed."""
        return self.deployment is not None or bool(self.repaired)


def at_rest(services: Services, app: str, *, healing: bool = True) -> Observed:
    """Recovers the app, as every changing command does first, and returns its state. The caller holds its lock."""
    return recover(services, app, healing=healing).observed or observe(services, app)


def recover_app(services: Services, app: str) -> Recovered:
    """Recovers an app that no command works on: takes its lock.

    Raises:
        Locked: another command works on the app.
    """
    with services.locks.app(app):
        return recover(services, app)


def recover(services: Services, app: str, *, healing: bool = True) -> Recovered:
    """Recovers the app. The caller holds its lock. May be repeated: the second time it changes nothing.

    Without `healing` the live containers are not repaired.
    """
    recovered = Recovered()
    if finish_removal(services, app) is not None:
        text = f"the removal of {app}, which was interrupted, is finished"
        services.reporter.note(text)
        return Recovered(repaired=[text])
    _finish_or_undo(services, app, recovered)
    _repair(services, app, recovered, healing=healing)
    _stop_expired(services, app, recovered)
    tidy(services, app)
    forget_secrets(services, app)
    for text in recovered.repaired:
        services.ledger.event(app, "repaired", {"what": text, "command": services.command})
        services.reporter.note(text)
    for text in recovered.failed:
        services.reporter.note(f"could not be repaired: {text}")
    return recovered


def _finish_or_undo(services: Services, app: str, recovered: Recovered) -> None:
    deployment = services.ledger.open_deployment(app)
    if deployment is None:
        return
    recovered.repaired += _repair_proxy(services, app, in_deployment=True)
    plan = restored(services.ledger.plan_of(deployment.id))
    journal = services.ledger.steps(deployment.id)
    recovery = decide(plan, journal, services.traffic.on_disk(app))
    work = Work(services, deployment, plan, Config.from_snapshot(deployment.config))
    undoing = recovery.direction == "undo"
    services.reporter.note(f"{'undoing' if undoing else 'finishing'} the {_described(deployment, journal)}")
    outcome, reason = _outcome(recovery, journal, "measurement" if plan.kind == "drill" else "switch")
    carry_on(work, recovery.steps, outcome, reason, undoing=undoing)
    recovered.deployment, recovered.direction = deployment.id, recovery.direction


def _described(deployment: Deployment, journal: Sequence[StepRecord]) -> str:
    where = journal[-1].name if journal else "its start"
    return f"{deployment.kind} to {deployment.to_version}, interrupted at {where}"


def _outcome(recovery: Recovery, journal: Sequence[StepRecord], commit: str) -> tuple[Outcome, str]:
    if recovery.direction == "finish":
        return "succeeded", f"interrupted after the {commit}, finished by recovery"
    # When a step failed before the interruption, the history gives this failure as the reason.
    failures = [str(step.detail["error"]) for step in journal if step.state == "failed" and not step.undo]
    return ("failed", failures[0]) if failures else ("undone", f"interrupted before the {commit}, undone by recovery")


def _repair(services: Services, app: str, recovered: Recovered, *, healing: bool) -> None:
    if services.ledger.proxy_app(app) is None:
        return
    recovered.repaired += _repair_proxy(services, app)
    observed = observe(services, app)
    if note_cold(services, app, observed):
        observed = observe(services, app)
    if end_lost_shield(services, app):
        recovered.repaired.append("the shield was ended: the previous version does not run any more")
        observed = observe(services, app)
    recovered.observed = observed
    recovered.repaired += follow(services, observed)
    if not healing:
        return
    healed = heal(services, observed)
    recovered.failed = healed.failed
    if healed.repaired:
        recovered.repaired += healed.repaired
        recovered.observed = None


def _repair_proxy(services: Services, app: str, *, in_deployment: bool = False) -> list[str]:
    apps = services.ledger.proxy_apps()
    known = next((each for each in apps if each.name == app), None)
    if known is None:
        return []
    states = services.ledger.traffic_states()
    if in_deployment and services.traffic.readable(app):
        # During a deployment the traffic state on disk decides: it is restored only when it is lost.
        states.pop(app, None)
    with services.locks.proxy():
        repaired = services.edge.repair(app, apps, states, services.progress)
        return repaired + services.endpoints.repair(app, known.slots)


def _stop_expired(services: Services, app: str, recovered: Recovered) -> None:
    """Stops a warm version whose `rollout.keep_warm` time is over, and with it the shield of its successor.

    Sessions that stayed on it move to its successor; their open requests may finish.
    """
    now = iso(services.wall())
    slots = services.ledger.slots(app)
    for slot, state in slots.items():
        if state.state != "warm" or (state.warm_until is not None and state.warm_until > now):
            continue
        if any(other.baking for other in slots.values()) or services.traffic.on_disk(app).unshielded.needs(slot):
            continue
        live = services.live(app)
        if live is not None and not healthy(services, app, live.slot):
            continue  # a rollback to the warm version is the fastest: it stays until its successor serves
        kept = services.ledger.traffic(app).kept == slot
        with services.locks.proxy():
            remove_shield(services, app)
        if kept:
            _let_finish(services, state)
        cut = _cut(services, app, slot)
        park(services, app, slot)
        for container in services.workloads.containers(app):
            if container.slot == slot and container.version == state.version:
                services.workloads.stop(container)
        services.ledger.set_slot(replace(state, state="cold", since=now, warm_until=None))
        lost = f"; {counted(cut, 'request')} that were still open were cut" if cut else ""
        recovered.repaired.append(f"{state.version} stopped: its rollout.keep_warm time is over{lost}")
        recovered.observed = None


def _let_finish(services: Services, state: SlotState) -> None:
    """Waits until no request is open on a slot, up to the drain limit.

    Raises:
        Interrupted: a signal came; nothing was stopped.
    """
    drain = Config.from_snapshot(services.ledger.settings(state.app, state.version)).proxy.drain

    def check(waited: float) -> float:
        services.interrupts.check()
        return math.inf

    with suppress(ProxyError):  # without the proxy no request is open
        wait_until_closed(services, state.app, state.slot, drain, f"on {state.version}", check)


def _cut(services: Services, app: str, slot: Slot) -> int:
    """Ends what is still open on a slot; how many requests that were."""
    try:
        return services.endpoints.cut(app, slot)
    except ProxyError:
        return 0  # without the proxy no request is open
