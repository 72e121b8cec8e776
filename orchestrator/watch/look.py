"""What the watchdog sees of an app at rest: its containers, asked directly and through the proxy, and its traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.config import Config
from orchestrator.domain.health.probe import ProbeSpec, Reply, judge
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.way_back import WayBack, way_back
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.comparison import Limits, Traffic
from orchestrator.domain.traffic.comparison import judge as judge_traffic
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.routing import split_listen
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.domain.watch.decision import Look, Replica, Rules
from orchestrator.ports.services import Services
from orchestrator.release.heal import Healer
from orchestrator.reports.evidence import traffic

_GATEWAY_ERRORS = (502, 503, 504)
# Far enough for any app: the deployment that put the predecessor live is one of the last.
_RECENT = 50


@dataclass(frozen=True)
class View:
    """A look, and what was found on the way to it."""

    look: Look
    healer: Healer
    back: WayBack | None
    new: Traffic
    old: Traffic | None
    probes: int


def rules(config: Config) -> Rules:
    """The configuration's part of a decision."""
    watch = config.watchdog
    return Rules(watch.busy, watch.restarts, watch.window, watch.backoff, watch.auto_rollback)


def limits(config: Config) -> Limits:
    """What traffic is held to."""
    watch = config.watchdog
    return Limits(watch.min_requests, watch.max_error_rate, watch.error_margin, watch.max_latency, watch.latency_factor)


def take(services: Services, config: Config, observed: Observed, live: SlotState, *, through_proxy: bool) -> View:
    """Looks at an app that is at rest. `config` is the live version's own, with the file's rules for watching."""
    healer = Healer(services, observed, live)
    now = services.wall().timestamp()
    busy = services.endpoints.open_requests(observed.app, live.slot)
    replicas, probes = _replicas(services, config, healer, live, busy, now)
    entry = services.ledger.proxy_app(observed.app)
    unreachable = ""
    if through_proxy and entry is not None and any(replica.healthy for replica in replicas):
        unreachable = _unreachable(services, config, entry)
    new, old = Traffic(), None
    if live.baking:
        new, old = traffic(services, observed.app, live)
    back = target(services, observed, live)
    look = Look(
        now=now,
        version=live.version,
        replicas=replicas,
        unreachable=unreachable,
        traffic=judge_traffic(new, old, limits(config)),
        bake_until=_epoch(live.bake_until) if live.bake_until else None,
        target=back.version if back else None,
        cooling_until=_cooling_until(services, config, observed.app, now),
    )
    return View(look, healer, back, new, old, probes)


def target(services: Services, observed: Observed, live: SlotState) -> WayBack | None:
    """Where an automatic rollback would go: while a version bakes, to what it replaced; else up the lineage.

    What it replaced may stand below it, when an older version was released again. It is warm and was stable: it is
    what served when all was well.
    """
    if live.baking:
        made = services.ledger.deployment(observed.app, live.deployment)
        replaced = observed.versions.get(made.from_version or "") if made else None
        if replaced is not None and replaced.stable_at and not replaced.bad_at and replaced.name != live.version:
            return way_back(observed, replaced.name)
    return way_back(observed)


def _replicas(
    services: Services,
    config: Config,
    healer: Healer,
    live: SlotState,
    busy: Mapping[int, int],
    now: float,
) -> tuple[tuple[Replica, ...], int]:
    running = {
        index: box for index, box in healer.containers.items() if not healer.fault(index) and box.state == "running"
    }
    spec = config.probe_spec()

    def ask(box: Container) -> tuple[str, int]:
        return _ask(services, config, lambda: services.prober.probe(box.address, spec), spec)

    with ThreadPoolExecutor(max(1, len(running))) as pool:
        verdicts = dict(zip(running, pool.map(ask, running.values()), strict=True))
    found = []
    for index in healer.indexes:
        box = healer.containers.get(index)
        fault = healer.fault(index)
        if box is not None and box.state == "restarting":
            fault = "the engine keeps restarting it"
        probe_failure, _ = verdicts.get(index, ("", 0))
        found.append(
            Replica(
                index=index,
                name=healer.name(index),
                fault=fault,
                probe_failure=probe_failure,
                open_requests=busy.get(index, 0),
                exits=box.restarts if box is not None else 0,
                recently_started=box is not None and _fresh(box, config, live, now),
                started_at=box.started_at if box is not None else 0.0,
            )
        )
    return tuple(found), sum(count for _, count in verdicts.values())


def _fresh(box: Container, config: Config, live: SlotState, now: float) -> bool:
    """Started after it went live, and still within its time to become ready."""
    return box.started_at > _epoch(live.since) + 1 and 0 <= now - box.started_at < config.health.deadline


def _ask(services: Services, config: Config, probe: Callable[[], Reply], spec: ProbeSpec) -> tuple[str, int]:
    """Probes until the verdict is certain: (why it is unhealthy or empty, how many probes that took)."""
    watch = config.watchdog
    good = bad = 0
    reason = ""
    while True:
        judgement = judge(spec, probe())
        if judgement.ready:
            good += 1
        else:
            bad, reason = bad + 1, judgement.reason
        count = good + bad
        if bad >= watch.failures:
            return f"{bad} of {count} probes failed, last: {reason}", count
        # One good answer is enough where none was bad: most passes meet nothing else.
        if bad == 0 or watch.probes - count < watch.failures - bad:
            return "", count
        services.sleep(min(config.health.interval, 1.0))


def _unreachable(services: Services, config: Config, entry: ProxyApp) -> str:
    """Why a request to the proxy does not reach the app; empty when it does."""
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
        # What a model answers to a path that it may not know is its own affair: the request has come through.
        reached = reply.status is not None and reply.status not in _GATEWAY_ERRORS
        return replace(reply, status=200, body="") if reached else reply

    through = replace(spec, body=None, failed_body=None, statuses=(200, 200))
    why, _ = _ask(services, config, probe, through)
    return f"the proxy does not bring requests to {entry.name} ({entry.route.listen}): {why}" if why else ""


def _cooling_until(services: Services, config: Config, app: str, now: float) -> float:
    """Until when no automatic rollback may follow the last one, also one that failed.

    One that was killed and undone is simply tried again. What a person has put live since then is a new story.
    """
    for found in services.ledger.deployments(app, _RECENT):
        if found.kind == "auto-rollback" and found.outcome != "undone":
            # A clock that was set back must not forbid it for a day.
            return min(_epoch(found.started_at), now) + config.watchdog.cooldown
        if found.outcome == "succeeded":
            return 0.0
    return 0.0


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
