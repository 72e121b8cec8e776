"""The status of an app: what is live, how a rollback would go, and what is wrong. Reads only."""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.traffic.counted import Traffic
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.evidence import traffic
from orchestrator.release.observe import observe
from orchestrator.release.shields import shield
from orchestrator.reports.live import LiveVersion, ProxyStatus, live_version, proxy_status, wrong_route
from orchestrator.reports.maintenance import MaintenanceStatus, maintenance_status, not_followed
from orchestrator.reports.open_deployment import OpenDeployment, open_deployment
from orchestrator.reports.previous import PreviousVersion, previous_version
from orchestrator.reports.rollout import Candidate, RolloutStatus, candidate, rollout_status
from orchestrator.reports.shield import ShieldFigures, figures
from orchestrator.reports.wrong_addresses import wrong_addresses

State = Literal["empty", "deploying", "preview", "canary", "held", "baking", "stable", "degraded", "maintenance"]


@frozen
class TrafficFigures:
    """Requests, failed ones, and the mean response time in seconds (None without requests)."""

    requests: int
    errors: int
    seconds: float | None


@frozen
class BakeStatus:
    """The bake of the live version: its end, its traffic, and that of its predecessor before the switch."""

    until: str | None
    traffic: TrafficFigures
    before: TrafficFigures | None


@frozen
class TrafficShares:
    """Which slot gets the requests. `share` is that of the candidate, in percent. `held`: requests wait."""

    live: Slot | None
    candidate: Slot | None
    share: float
    shield: bool
    preview: bool
    held: bool


@frozen
class StatusReport:
    """The status of an app."""

    app: str
    state: State
    live: LiveVersion | None
    candidate: Candidate | None
    previous: PreviousVersion | None
    bake: BakeStatus | None
    rollout: RolloutStatus | None
    traffic: TrafficShares
    deployment: OpenDeployment | None
    proxy: ProxyStatus
    problems: tuple[str, ...]
    maintenance: MaintenanceStatus | None = None
    shield: ShieldFigures | None = None


def status(services: Services, app: str, listen: str) -> StatusReport:
    """The status of an app; `listen` is the address to show when the proxy does not know the app yet."""
    problems: list[str] = []
    observed = observe(services, app)
    live = observed.live
    proxy, health = proxy_status(services, app, live.slot if live else None, listen, problems)
    if services.ledger.removal(app) is not None and services.locks.holder(app) is None:
        problems.append(f"the removal of {app} was interrupted: deployctl remove {app}")
    deployment = open_deployment(services, app, problems)
    serving = live_version(services, observed, live, health, problems) if live else None
    bake = _bake(services, app, live) if live and live.baking else None
    if live is not None and deployment is None:
        problems += wrong_route(services, app, live.slot, proxy)
        problems += [
            f"{text}: deployctl recover" for text in wrong_addresses(services, app, observed.containers, proxy.state)
        ]
        problems += not_followed(services, app, running=proxy.state == "running")
    maintenance = maintenance_status(services, app)
    rollout = services.ledger.open_rollout(app)
    # Read after the rollout: a command may have begun it since `observed`.
    shares = services.ledger.traffic(app)
    return StatusReport(
        app=app,
        state=_state(live, deployment, rollout, problems, in_maintenance=maintenance is not None),
        live=serving,
        candidate=candidate(rollout) if rollout else None,
        # With a candidate, a rollback aborts it.
        previous=previous_version(services, observed) if rollout is None else None,
        bake=bake,
        rollout=rollout_status(services, rollout, shield=shares.shield) if rollout else None,
        traffic=_shares(shares),
        deployment=deployment,
        proxy=proxy,
        problems=tuple(problems),
        maintenance=maintenance,
        shield=figures(shield(services, app)),
    )


def _state(
    live: SlotState | None,
    deployment: OpenDeployment | None,
    rollout: Rollout | None,
    problems: list[str],
    *,
    in_maintenance: bool,
) -> State:
    if deployment is not None and deployment.running:
        return "deploying"
    if problems:
        return "degraded"
    if live is None:
        return "empty"
    if in_maintenance:
        return "maintenance"
    if rollout is not None:
        return "preview" if rollout.preview else "held" if rollout.held else "canary"
    return "baking" if live.baking else "stable"


def _shares(state: TrafficState) -> TrafficShares:
    held = state.held > 0 or (state.maintenance is not None and state.maintenance.hold > 0)
    return TrafficShares(state.live, state.candidate, state.share / 100, state.shield, state.preview, held)


def _bake(services: Services, app: str, live: SlotState) -> BakeStatus:
    new, old = traffic(services, app, live)
    return BakeStatus(live.bake_until, _figures(new), _figures(old) if old else None)


def _figures(figures: Traffic) -> TrafficFigures:
    return TrafficFigures(figures.requests, figures.failures, figures.seconds)
