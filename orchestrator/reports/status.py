"""The status of an app: what is live, how a rollback would go, and what is wrong. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from orchestrator.domain.moments import iso
from orchestrator.domain.rollout.deployment import Kind
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.rollout.way_back import way_back
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.counted import Traffic
from orchestrator.domain.traffic.endpoint import EndpointHealth
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import DeployctlError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.evidence import traffic
from orchestrator.release.observe import healthy, observe
from orchestrator.release.shields import shield
from orchestrator.reports.drill import LastDrill, last_drill
from orchestrator.reports.estimate import estimate
from orchestrator.reports.maintenance import MaintenanceStatus, maintenance_status, not_followed
from orchestrator.reports.rollout import Candidate, RolloutStatus, candidate, rollout_status
from orchestrator.reports.shield import ShieldFigures, figures
from orchestrator.reports.wrong_addresses import wrong_addresses
from orchestrator.text import counted

State = Literal["empty", "deploying", "preview", "canary", "held", "baking", "stable", "degraded", "maintenance"]


@frozen
class ContainerHealth:
    """A container of the live version. `healthy`: it runs, and the proxy's health check passes.

    `healthy` is null when the container runs and the proxy does not answer.
    """

    id: str
    name: str
    state: str
    healthy: bool | None
    restarts: int


@frozen
class LiveVersion:
    """The version that receives the traffic."""

    version: str
    slot: Slot
    image: str
    image_id: str
    since: str
    containers: tuple[ContainerHealth, ...]


@frozen
class RollbackEstimate:
    """How a rollback would go. `mode`: `switch`, `start`, `pull`, `rebuild` or `gone`; `seconds` None: unknown.

    `drill` is the newest drill of the version, if there was one.
    """

    mode: str
    seconds: float | None
    containers_kept: bool
    drill: LastDrill | None = None


@frozen
class PreviousVersion:
    """The version that a rollback would make live. `warm_until` is when it will be stopped, if it runs."""

    version: str
    slot: Slot
    rollback: RollbackEstimate
    warm_until: str | None


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
class LockHolder:
    """The command that holds the app's lock."""

    command: str
    pid: int | None
    since: str | None


@frozen
class OpenDeployment:
    """A deployment that runs, or that was interrupted. `step` is the last one that began."""

    id: int
    kind: Kind
    from_: str | None
    to: str
    started_at: str
    step: str | None
    running: bool
    holder: LockHolder | None


@frozen
class ProxyStatus:
    """The proxy, from the view of this app. `route` is the slot that gets the requests."""

    state: str
    listen: str
    route: Slot | None


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
    proxy, health = _proxy(services, app, live.slot if live else None, listen, problems)
    if services.ledger.removal(app) is not None and services.locks.holder(app) is None:
        problems.append(f"the removal of {app} was interrupted: deployctl remove {app}")
    deployment = _open_deployment(services, app, problems)
    serving = _live(services, observed, live, health, problems) if live else None
    previous = _previous(services, observed)
    bake = _bake(services, app, live) if live and live.baking else None
    if live is not None and deployment is None:
        problems += _wrong_route(services, app, live.slot, proxy)
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
        previous=previous,
        bake=bake,
        rollout=rollout_status(services, rollout, shield=shares.shield) if rollout else None,
        traffic=_shares(shares),
        deployment=deployment,
        proxy=proxy,
        problems=tuple(problems),
        maintenance=maintenance,
        shield=figures(shield(services, app)),
    )


Health = Mapping[int, EndpointHealth]
"""The health of each replica as the proxy reports it, by index."""


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


def _wrong_route(services: Services, app: str, slot: Slot, proxy: ProxyStatus) -> list[str]:
    """Where the route of the proxy, or the one that it would start with, differs from the ledger's."""
    problems = []
    if proxy.state == "running" and proxy.route != slot:
        problems.append(f"the proxy sends requests to {proxy.route}, the ledger says {slot}: deployctl recover")
    try:
        on_disk = services.traffic.on_disk(app).live
    except DeployctlError as error:
        return [*problems, f"{error}: deployctl recover"]
    if on_disk != slot:
        problems.append(f"routes.map says {on_disk}, the ledger says {slot}: deployctl recover")
    return problems


def _proxy(
    services: Services, app: str, live: Slot | None, listen: str, problems: list[str]
) -> tuple[ProxyStatus, Health | None]:
    """The proxy's status, and its health check of each replica in the live slot; None when it does not answer.

    `live` is the ledger's: while they differ, the proxy's own route leads to another version.
    """
    known = services.ledger.proxy_app(app)
    address = known.route.listen if known else listen
    state = services.edge.state()
    if state != "running":
        if known is not None:
            problems.append(f"the proxy is {state}: deployctl recover")
        return ProxyStatus(state, address, None), None
    route: Slot | None = None
    try:
        route = services.traffic.running(app).live
        health = {each.index: each for each in services.endpoints.health(app, live)} if live else {}
    except DeployctlError as error:
        problems.append(f"the proxy does not answer ({error}): deployctl recover")
        return ProxyStatus(state, address, route), None
    return ProxyStatus(state, address, route), health


def _live(
    services: Services, observed: Observed, live: SlotState, health: Health | None, problems: list[str]
) -> LiveVersion:
    """The live version; `health` is None when the proxy does not answer."""
    version = observed.versions[live.version]
    rows = []
    for container in observed.of(live.version, live.slot):
        endpoint = health.get(container.index) if health is not None else None
        healthy = None
        if health is not None or not container.running:
            healthy = container.running and endpoint is not None and endpoint.up
        if healthy is False:
            problems.append(_complaint(container, endpoint))
        rows.append(ContainerHealth(container.id, container.name, container.state, healthy, container.restarts))
    wanted = services.ledger.settings(observed.app, live.version)["run"]["replicas"]
    if len(rows) < wanted:
        missing = wanted - len(rows)
        verb = "is" if missing == 1 else "are"
        problems.append(f"{counted(missing, 'container')} of {live.version} {verb} missing: deployctl recover")
    return LiveVersion(
        version=live.version,
        slot=live.slot,
        image=version.image,
        image_id=version.image_id,
        since=live.since,
        containers=tuple(rows),
    )


def _complaint(container: Container, endpoint: EndpointHealth | None) -> str:
    if not container.running:
        state = "has exited" if container.state == "exited" else f"is {container.state}"
        return f"{container.name} {state} (exit code {container.exit_code}): deployctl recover"
    verdict = endpoint.status if endpoint is not None else "unknown"
    return f"{container.name} runs, but the proxy reports {verdict}: deployctl logs"


def _bake(services: Services, app: str, live: SlotState) -> BakeStatus:
    new, old = traffic(services, app, live)
    return BakeStatus(live.bake_until, _figures(new), _figures(old) if old else None)


def _figures(figures: Traffic) -> TrafficFigures:
    return TrafficFigures(figures.requests, figures.failures, figures.seconds)


def _previous(services: Services, observed: Observed) -> PreviousVersion | None:
    back = way_back(observed)
    if back is None:
        return None
    slot = observed.slots.get(back.slot)
    until = slot.warm_until if slot and slot.version == back.version else None
    if (
        back.mode == "switch"
        and until is not None
        and until <= iso(services.wall())
        and not _spared(services, observed)
    ):
        # The rollback, like every command, stops it first.
        back, until = replace(back, mode="start"), None
    return PreviousVersion(
        version=back.version,
        slot=back.slot,
        rollback=RollbackEstimate(
            back.mode,
            estimate(services, observed.app, back),
            back.kept,
            last_drill(services, observed.app, back.version),
        ),
        warm_until=until,
    )


def _spared(services: Services, observed: Observed) -> bool:
    """Whether a warm version is not stopped yet after `rollout.keep_warm`: its successor bakes, or is not healthy."""
    live = observed.live
    return live is not None and (live.baking or not healthy(services, observed.app, live.slot))


def _open_deployment(services: Services, app: str, problems: list[str]) -> OpenDeployment | None:
    deployment = services.ledger.open_deployment(app)
    if deployment is None:
        return None
    steps = services.ledger.steps(deployment.id)
    holder = services.locks.holder(app)
    if holder is None:
        problems.append(f"the {deployment.kind} to {deployment.to_version} was interrupted: deployctl recover")
    return OpenDeployment(
        id=deployment.id,
        kind=deployment.kind,
        from_=deployment.from_version,
        to=deployment.to_version,
        started_at=deployment.started_at,
        step=steps[-1].name if steps else None,
        running=holder is not None,
        holder=None if holder is None else _holder(holder),
    )


def _holder(facts: dict[str, object]) -> LockHolder:
    # The lock's file may be read while its holder writes it: then the facts are missing.
    pid, since = facts.get("pid"), facts.get("since")
    return LockHolder(
        command=str(facts.get("command", "unknown")),
        pid=pid if isinstance(pid, int) else None,
        since=since if isinstance(since, str) else None,
    )
