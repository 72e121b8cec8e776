"""A look at an app with no deployment in progress: probes, directly and through the proxy, and its traffic."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from orchestrator.config import Config
from orchestrator.domain.health.probe import Reply, judge
from orchestrator.domain.moments import epoch
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.way_back import WayBack, way_back
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.counted import Traffic
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.routing import split_listen
from orchestrator.domain.traffic.slot import Slot, SlotState, other
from orchestrator.domain.watch.look import Look, Replica, Rules
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.evidence import assess_alone, judge_limits, traffic, unanswered_since
from orchestrator.release.heal import Healer
from orchestrator.release.probes import probe_of
from orchestrator.watch.probing import Probed, probe_container, probe_until_certain

_GATEWAY_ERRORS = (502, 503, 504)
# How many deployments are searched for the last automatic rollback: it matters only if it is one of the newest.
_RECENT = 50


@frozen
class View:
    """A look and what it was made from. `new` and `old`: the traffic of the version and of its predecessor."""

    look: Look
    healer: Healer
    back: WayBack | None
    new: Traffic
    old: Traffic | None
    probes: int


def rules(config: Config) -> Rules:
    """The settings of the watchdog that decide."""
    watch = config.watchdog
    # No request lasts longer than the proxy waits for it.
    busy = min(watch.busy, config.proxy.timeout)
    return Rules(busy, watch.restarts, watch.window, watch.backoff, watch.auto_rollback, config.rollout.settle)


def take(services: Services, config: Config, observed: Observed, live: SlotState, *, through_proxy: bool) -> View:
    """Looks at an app with no deployment in progress.

    `config` is the live version's, with the current [watchdog] settings of the file.

    Raises:
        ProxyError: the proxy does not answer.
    """
    healer = Healer(services, observed, live)
    replicas, probes = _replicas(services, config, healer, live)
    now = services.wall().timestamp()
    entry = services.ledger.proxy_app(observed.app)
    unreachable = ""
    if through_proxy and entry is not None and any(replica.healthy for replica in replicas):
        unreachable = _unreachable(services, config, entry, observed.traffic.maintenance)
    new, old = Traffic(), None
    unanswered = 0
    predecessor_ready = False
    if live.baking:
        new, old = traffic(services, observed.app, live)
        unanswered = unanswered_since(services, live, new)
        predecessor_ready = any(each.answers for each in replicas) and _ready(services, observed, other(live.slot))
    back = target(services, observed, live)
    look = Look(
        now=now,
        version=live.version,
        replicas=replicas,
        since=epoch(live.since),
        unreachable=unreachable,
        traffic=assess_alone(new, judge_limits(config)),
        unanswered=unanswered,
        bake_until=epoch(live.bake_until) if live.bake_until else None,
        predecessor_ready=predecessor_ready,
        target=back.version if back else None,
        cooling_until=_cooling_until(services, config, observed.app, now),
    )
    return View(look, healer, back, new, old, probes)


def target(services: Services, observed: Observed, live: SlotState) -> WayBack | None:
    """The automatic rollback that is possible: while a version bakes, to the version it replaced; else up the lineage.

    The replaced version can be a descendant, when an older version was released again. It is warm and was stable.
    """
    if live.baking:
        deployment = services.ledger.deployment(observed.app, live.deployment)
        replaced = observed.versions.get(deployment.from_version or "") if deployment else None
        if replaced is not None and replaced.stable_at and not replaced.bad_at and replaced.name != live.version:
            return _possible(way_back(observed, replaced.name))
    return _possible(way_back(observed))


def _possible(back: WayBack | None) -> WayBack | None:
    return None if back is None or back.mode == "gone" else back


def _replicas(services: Services, config: Config, healer: Healer, live: SlotState) -> tuple[tuple[Replica, ...], int]:
    app, slot, now = live.app, live.slot, services.wall().timestamp()
    running = {
        index: container
        for index, container in healer.containers.items()
        if not healer.fault(index) and container.state == "running"
    }
    kept = _kept(services, live)
    spec = probe_of(services, app, slot, live.version, config)

    def ask(container: Container) -> Probed:
        return probe_container(services, config, spec, container.address)

    with ThreadPoolExecutor(max(1, len(running))) as pool:
        results = dict(zip(running, pool.map(ask, running.values()), strict=True))
    open_requests: dict[int, int] = {}
    answered: dict[int, int] = {}
    if any(probed.failure for probed in results.values()):
        # Only then do they decide anything.
        open_requests, answered = services.endpoints.open_requests(app, slot), services.endpoints.answered(app, slot)
    replicas = []
    for index in healer.indexes:
        container, probed = healer.containers.get(index), results.get(index, Probed())
        replica = Replica(
            index=index,
            name=healer.name(index),
            fault=_fault(healer, index),
            probe_failure=probed.failure,
            answers=probed.answers,
            missed=probed.seconds if probed.failure else 0.0,
            open_requests=open_requests.get(index, 0),
            answered=answered.get(index),
        )
        if container is not None:
            replica = replace(
                replica,
                restarting=container.state == "restarting",
                exits=container.restarts,
                exits_before=_exits_before(container, live, kept=kept),
                recently_started=_recently_started(container, config, live, now),
                started_at=container.started_at,
            )
        replicas.append(replica)
    return tuple(replicas), sum(probed.count for probed in results.values())


def _fault(healer: Healer, index: int) -> str:
    container = healer.containers.get(index)
    if container is not None and container.state == "restarting":
        return f"it exited with exit code {container.exit_code}"
    return healer.fault(index)


def _kept(services: Services, live: SlotState) -> bool:
    """Whether the containers ran already when their version went live, so that they may have ended before."""
    deployment = services.ledger.deployment(live.app, live.deployment)
    return deployment is None or deployment.mode == "switch"


def _exits_before(container: Container, live: SlotState, *, kept: bool) -> int:
    """How often a container had ended before its version went live, at most: the engine counts without times."""
    if container.started_at <= epoch(live.since):
        return container.restarts
    return max(0, container.restarts - 1) if kept else 0  # the last restart was its last start


def _recently_started(container: Container, config: Config, live: SlotState, now: float) -> bool:
    """Whether the container was started after the version went live, and still has time to become ready."""
    restarted = container.started_at > epoch(live.since) + 1
    return restarted and 0 <= now - container.started_at < config.health.deadline


def _ready(services: Services, observed: Observed, slot: Slot) -> bool:
    """Whether the version that runs in a slot is ready now: one good answer of each of its containers."""
    state = observed.slots.get(slot)
    running = [each for each in observed.of(state.version, slot) if each.running] if state else []
    if state is None or not running:
        return False
    config = Config.from_snapshot(services.ledger.settings(observed.app, state.version))
    spec = probe_of(services, observed.app, slot, state.version, config)
    return all(judge(spec, services.prober.probe(each.address, spec)).ready for each in running)


def _unreachable(services: Services, config: Config, entry: ProxyApp, maintenance: Maintenance | None) -> str:
    """Why requests through the proxy do not reach the app; empty when they do, or get what the maintenance says."""
    if maintenance is not None and maintenance.hold:
        return ""  # this one would wait as well
    host, port = split_listen(entry.route.listen)
    address = {"*": "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = next(iter(entry.route.hosts), "")
    spec = config.probe_spec()
    spec = replace(
        spec,
        port=port,
        path=entry.route.path_prefix + spec.path,
        host=f"deployctl{name[1:]}" if name.startswith("*.") else name,
    )

    def probe() -> Reply:
        reply = services.prober.probe(address, spec)
        # Any answer of the model, even an error, shows that the request has reached it.
        reached = reply.status is not None and reply.status not in _GATEWAY_ERRORS
        reached = reached or (maintenance is not None and reply.status == 503)
        return replace(reply, status=200, body="") if reached else reply

    through = replace(spec, body=None, failed_body=None, statuses=(200, 200))
    why = probe_until_certain(services, config, probe, through).failure
    return f"requests through the proxy ({entry.route.listen}) do not reach {entry.name}: {why}" if why else ""


def _cooling_until(services: Services, config: Config, app: str, now: float) -> float:
    """Until when the last automatic rollback forbids another one, even if it failed; 0 when it does not.

    A rollback that was interrupted and undone may be repeated at once. A later deployment ends the cool-down.
    """
    for deployment in services.ledger.deployments(app, _RECENT):
        if deployment.kind == "auto-rollback" and deployment.outcome != "undone":
            # After the clock was set back, the cool-down must not become longer.
            return min(epoch(deployment.started_at), now) + config.watchdog.cooldown
        if deployment.outcome == "succeeded" and deployment.kind not in ("drill", "abort"):
            return 0.0
    return 0.0
