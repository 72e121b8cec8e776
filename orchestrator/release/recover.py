"""Recovery: what every changing command does first. An interrupted deployment is finished or undone, what
has drifted at rest is mended, and a previous version whose warm time is up is stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.rollout import recovery
from orchestrator.domain.rollout.plan import Observed
from orchestrator.ports.services import Services
from orchestrator.release.actions import Actions
from orchestrator.release.executor import Executor
from orchestrator.release.heal import heal
from orchestrator.release.retention import forget_secrets
from orchestrator.release.slots import note_cold, park


@dataclass
class Recovered:
    """What was done: the deployment that was carried to its end, and what else was mended, in words."""

    deployment: int | None = None
    direction: Literal["finish", "undo"] | None = None
    mended: list[str] = field(default_factory=list)
    # What is wrong with the live version and could not be mended, in words.
    failed: list[str] = field(default_factory=list)
    # What was seen last; None once anything was done after that look.
    observed: Observed | None = None

    @property
    def anything(self) -> bool:
        return self.deployment is not None or bool(self.mended)


def at_rest(services: Services, app: str) -> Observed:
    """Recovers the app, as every changing command does first, and says how it is then."""
    return recover(services, app).observed or services.observe(app)


def recover(services: Services, app: str, *, healing: bool = True) -> Recovered:
    """Brings the app to rest. The caller holds its lock. Doing it twice changes nothing more.

    Without `healing` the live containers are left to the caller.
    """
    found = Recovered()
    _finish_or_undo(services, app, found)
    _mend(services, app, found, healing=healing)
    _expire_warm(services, app, found)
    services.artifacts.tidy(app)
    forget_secrets(services, app)
    for text in found.mended:
        services.ledger.event(app, "mended", {"what": text})
        services.reporter.note(text)
    for text in found.failed:
        services.reporter.note(f"could not be mended: {text}")
    return found


def _finish_or_undo(services: Services, app: str, found: Recovered) -> None:
    deployment = services.ledger.open_deployment(app)
    if deployment is None:
        return
    _mend(services, app, found, open_deployment=True)
    plan = services.ledger.plan_of(deployment.id)
    journal = services.ledger.steps(deployment.id)
    fate = recovery.recover(plan, journal, services.proxy.route(app))
    config = Config.from_snapshot(deployment.config)
    actions = Actions(services, deployment, plan, config)
    what = (
        f"{deployment.kind} to {deployment.to_version}, interrupted at {journal[-1].name if journal else 'its start'}"
    )
    if fate.direction == "finish":
        services.reporter.note(f"finishing the {what}")
        actions.reason = "interrupted after the switch, finished by recovery"
    else:
        services.reporter.note(f"undoing the {what}")
        actions.outcome, actions.reason = "undone", "interrupted before the switch, undone by recovery"
        failed = [step.detail["error"] for step in journal if step.state == "failed" and not step.undo]
        if failed:
            # It had failed before it was interrupted: that is what history shall say.
            actions.outcome, actions.reason = "failed", failed[0]
    Executor(services, actions).repeat(fate.steps, undo=fate.direction == "undo")
    found.deployment, found.direction = deployment.id, fate.direction


def _mend(
    services: Services, app: str, found: Recovered, *, open_deployment: bool = False, healing: bool = True
) -> None:
    apps = services.ledger.proxy_apps()
    if not any(known.name == app for known in apps):
        return
    routes = services.ledger.live_slots()
    if open_deployment and services.proxy.route_known(app):
        # In the middle of a deployment the file is the truth: only what is lost is restored.
        routes.pop(app, None)
    with services.locks.proxy():
        found.mended += services.proxy.repair(app, apps, routes, services.reporter.detail)
    if open_deployment:
        return
    observed = services.observe(app)
    if note_cold(services, app, observed):
        observed = services.observe(app)
    found.observed = observed
    if not healing:
        return
    mended, found.failed = heal(services, observed)
    if mended:
        found.mended += mended
        found.observed = None


def _expire_warm(services: Services, app: str, found: Recovered) -> None:
    now = iso(services.wall())
    for slot, state in services.ledger.slots(app).items():
        if state.state != "warm" or (state.warm_until is not None and state.warm_until > now):
            continue
        if services.proxy.route(app) == slot:
            continue
        # Whatever keep_warm says: while its successor bakes, traffic may have to come back at once.
        if any(other.baking for other in services.ledger.slots(app).values()):
            continue
        park(services, app, slot)
        for container in services.engine.containers(app):
            if container.slot == slot and container.version == state.version:
                services.engine.stop(container)
        services.ledger.set_slot(app, slot, state.version, state.deployment, "cold")
        found.mended.append(f"{state.version} stopped: its warm time was up")
        found.observed = None
