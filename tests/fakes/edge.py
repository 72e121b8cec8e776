"""A proxy in memory behind the three ports Edge, Traffic and Endpoints, over one state that the fakes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.backends import servers
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.endpoint import EndpointHealth
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.program import Leaving, Program, Refusals
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, UsageError
from orchestrator.ports.progress import Progress

_NOTHING = TrafficState()


@dataclass
class FakeProxyState:
    """One proxy. `containers` returns the containers of an app: an endpoint is up while one runs at its address."""

    containers: Callable[[str], Sequence[Container]]
    now: Callable[[], float] = lambda: 0.0

    # The states on disk, and those that the workers apply; `running` is None when the proxy does not run.
    disk: dict[str, TrafficState] = field(default_factory=dict)
    running: dict[str, TrafficState] | None = None
    # Whether the states on disk are unreadable.
    damaged: bool = False
    # The files on disk by name, and the digest of the loaded structure; both follow from the apps.
    files: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    apps: tuple[ProxyApp, ...] = ()
    # The endpoints of each slot that is in use.
    endpoints: dict[tuple[str, Slot], SlotEndpoints] = field(default_factory=dict)
    # The slots whose replicas run and fail the proxy's checks.
    failing: set[tuple[str, Slot]] = field(default_factory=set)
    open: dict[tuple[str, Slot], int] = field(default_factory=dict)
    # Requests of an app that were held for too long.
    unanswered: dict[str, int] = field(default_factory=dict)
    # Requests that replica 1 of a slot has answered.
    answered: dict[tuple[str, Slot], int] = field(default_factory=dict)
    counted: dict[tuple[str, Slot], Sample] = field(default_factory=dict)
    # Listen addresses of other processes.
    taken: set[str] = field(default_factory=set)
    # Why the proxy will reject its next configuration; empty: it will not.
    rejection: str = ""
    # Whether it runs but does not answer.
    paused: bool = False
    reloads: int = 0
    written: float | None = None
    # The program that runs, and those that were built, by their ids.
    program: Program = field(default_factory=lambda: Program("HAProxy 2.6.12"))
    built: dict[str, Program] = field(default_factory=dict)
    # Why the next program will not start; empty: it will. Whether a replaced one still runs: until nothing is open.
    broken: str = ""
    replaced: bool = False
    refused: dict[str, Refusals] = field(default_factory=dict)

    def workers(self) -> dict[str, TrafficState]:
        """The states that its workers apply.

        Raises:
            ProxyError: it does not run, or is paused.
        """
        if self.running is None or self.paused:
            why = "it does not run" if self.running is None else "it is paused"
            raise ProxyError("the proxy does not answer", why=why, hint="deployctl proxy up")
        return self.running

    def load(self, apps: Sequence[ProxyApp]) -> None:
        """Starts or reloads: files and configuration are made from `apps`, the workers read the states on disk."""
        self.files, self.digest = rendered(apps)
        self.apps = tuple(apps)
        self.running = dict(self.disk)
        self.endpoints = {
            (app.name, slot): endpoints
            for app in apps
            for slot, endpoints in app.slots.items()
            if slot in SLOTS and endpoints.active
        }

    def count(self, app: str) -> int:
        """The number of servers in each slot of the app; 0 for an unknown app."""
        return next((servers(known) for known in self.apps if known.name == app), 0)


def rendered(apps: Sequence[ProxyApp]) -> tuple[dict[str, str], str]:
    """The files of the real proxy for these apps, and the digest of the structure."""
    text, digest = render.configuration("@config@", apps, 1)
    maps = {"versions.map": render.versions_map(apps), "replicas.map": render.replicas_map(apps)}
    return {"haproxy.cfg": text, **maps}, digest


def _addresses(route: Route) -> set[str]:
    return {route.listen, route.preview, route.metrics} - {""}


class FakeEdge:
    """Fulfils ports.edge.Edge."""

    def __init__(self, proxy: FakeProxyState) -> None:
        self._proxy = proxy

    def state(self) -> str:
        if self._proxy.running is None:
            return "missing"
        return "paused" if self._proxy.paused else "running"

    def changed_files(self, apps: Sequence[ProxyApp]) -> list[str]:
        wanted, digest = rendered(apps)
        if digest != self._proxy.digest:
            return []
        return [name for name, text in wanted.items() if self._proxy.files.get(name) != text]

    def up(self, apps: Sequence[ProxyApp], progress: Progress) -> None:
        self._proxy.paused = False
        if self._proxy.running is None:
            progress.detail("starting the proxy")
            self._proxy.load(apps)

    def down(self) -> None:
        self._proxy.running, self._proxy.paused, self._proxy.replaced = None, False, False

    def reload(self) -> None:
        self._refuse_rejected()
        self._proxy.workers()
        self._proxy.load(self._proxy.apps)
        self._proxy.reloads += 1

    def apply(self, apps: Sequence[ProxyApp], progress: Progress) -> bool:
        self.up(apps, progress)
        files, digest = rendered(apps)
        if digest == self._proxy.digest:
            self._proxy.files, self._proxy.apps = files, tuple(apps)
            return False
        self._refuse_rejected()
        before = {address for app in self._proxy.apps for address in _addresses(app.route)}
        for address in {address for app in apps for address in _addresses(app.route)} - before:
            if address in self._proxy.taken:
                raise ProxyError("the proxy could not load its new configuration", why=f"cannot bind {address}")
        self._proxy.load(apps)
        self._proxy.reloads += 1
        return True

    def check_listen(self, route: Route) -> None:
        own = {address for app in self._proxy.apps for address in _addresses(app.route)}
        for key in ("listen", "preview", "metrics"):
            address = getattr(route, key)
            if address in self._proxy.taken and not (address in own and self._proxy.running is not None):
                raise UsageError(f"proxy.{key}: {address} cannot be used", why="another process uses it")

    def drift(self, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState]) -> list[str]:
        proxy = self._proxy
        names = [name for name, text in rendered(apps)[0].items() if proxy.files.get(name) != text]
        disk = {app: proxy.disk.get(app, _NOTHING) for app in states}
        if proxy.damaged or any(disk[app] != state for app, state in states.items()):
            names.append("routes.map")
        return names

    def repair(
        self, app: str, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState], progress: Progress
    ) -> list[str]:
        proxy = self._proxy
        restored = {} if proxy.damaged else dict(proxy.disk)
        for name, state in states.items():
            if name == app or name not in restored:
                restored[name] = state
        restored = {name: state for name, state in restored.items() if state != _NOTHING}
        repaired = ["the proxy was unpaused"] if proxy.paused else []
        proxy.paused = False
        if proxy.damaged or proxy.disk != restored:
            repaired.append("routes.map restored from the ledger")
        proxy.disk, proxy.damaged = restored, False
        files, digest = rendered(apps)
        repaired += [f"{name} restored from the ledger" for name in files if proxy.files.get(name) != files[name]]
        proxy.files = files
        if proxy.running is None:
            self.up(apps, progress)
            repaired.append("the proxy was started")
        if proxy.digest != digest:
            proxy.load(apps)
            repaired.append("the proxy's configuration was reloaded")
        for name, state in restored.items():
            if proxy.workers().get(name) != state:
                proxy.workers()[name] = state
                repaired.append(f"the running proxy's traffic of {name} was set to {state}")
        return repaired

    def program(self) -> Program | None:
        return None if self._proxy.running is None or self._proxy.paused else self._proxy.program

    def build(self, progress: Progress) -> str:
        self._refuse_second()
        progress.check()
        image = f"sha256:proxy{len(self._proxy.built) + 1}"
        self._proxy.built[image] = Program(f"HAProxy 2.6.{13 + len(self._proxy.built)}", self._proxy.now())
        return image

    def upgrade(self, image: str, apps: Sequence[ProxyApp], progress: Progress) -> None:
        self._refuse_second()
        self.apply(apps, progress)
        progress.check()
        if self._proxy.damaged or self._proxy.disk != self._proxy.workers():
            raise ProxyError("the files on disk do not match the running proxy")
        if self._proxy.broken:
            raise ProxyError("the new proxy ended; the old one keeps serving", why=self._proxy.broken)
        self._proxy.program = self._proxy.built[image]
        self._proxy.replaced = True
        # Another process: its counters begin at 0.
        self._proxy.counted.clear()
        self._proxy.answered.clear()

    def leaving(self) -> Leaving | None:
        count = sum(self._proxy.open.values())
        self._proxy.replaced = self._proxy.replaced and count > 0
        return Leaving(count, count) if self._proxy.replaced else None

    def refusals(self, listens: Sequence[str]) -> list[Refusals]:
        self._proxy.workers()
        return [self._proxy.refused.get(listen, Refusals(listen)) for listen in listens]

    def _refuse_second(self) -> None:
        if self.leaving() is not None:
            raise UsageError("the previous proxy still has open requests")

    def _refuse_rejected(self) -> None:
        if self._proxy.rejection:
            raise ProxyError("the proxy rejects its new configuration", why=self._proxy.rejection)


class FakeTraffic:
    """Fulfils ports.traffic.Traffic."""

    def __init__(self, proxy: FakeProxyState) -> None:
        self._proxy = proxy

    def on_disk(self, app: str) -> TrafficState:
        self._refuse_damaged()
        return self._proxy.disk.get(app, _NOTHING)

    def running(self, app: str) -> TrafficState:
        return self._proxy.workers().get(app, _NOTHING)

    def readable(self, app: str) -> bool:
        return not self._proxy.damaged and app in self._proxy.disk

    def known(self) -> dict[str, TrafficState]:
        running = {} if self._proxy.paused else self._proxy.running
        return dict((not self._proxy.damaged and self._proxy.disk) or running or {})

    def apply(self, app: str, state: TrafficState) -> None:
        self._refuse_damaged()
        self._set(app, state.keeping(self._proxy.disk.get(app, _NOTHING)))

    def apply_all(self, states: Mapping[str, TrafficState]) -> None:
        self._refuse_damaged()
        self._proxy.workers()  # before anything changes
        for app, state in states.items():
            self._set(app, state.keeping(self._proxy.disk.get(app, _NOTHING)))

    def maintain(self, app: str, maintenance: Maintenance | None) -> None:
        self._refuse_damaged()
        state = self._proxy.disk.get(app, _NOTHING)
        if state.live is not None:
            self._set(app, replace(state, maintenance=maintenance))

    def _set(self, app: str, state: TrafficState) -> None:
        workers = self._proxy.workers()
        if self._proxy.disk.get(app, _NOTHING) != state:
            self._proxy.written = self._proxy.now()
        for states in (self._proxy.disk, workers):
            if state == _NOTHING:
                states.pop(app, None)
            else:
                states[app] = state

    def changed_at(self, app: str) -> float | None:
        return self._proxy.written if self.readable(app) else None

    def forget(self, app: str) -> None:
        self._proxy.disk.pop(app, None)
        if self._proxy.running is not None and not self._proxy.paused:
            self._proxy.running.pop(app, None)

    def _refuse_damaged(self) -> None:
        if self._proxy.damaged:
            raise ProxyError("routes.map is damaged", hint="deployctl recover restores it from the ledger")


class FakeEndpoints:
    """Fulfils ports.endpoints.Endpoints."""

    def __init__(self, proxy: FakeProxyState) -> None:
        self._proxy = proxy

    def register(self, app: str, slot: Slot, endpoints: SlotEndpoints) -> None:
        self._proxy.workers()
        if self._proxy.count(app):
            self._proxy.endpoints[app, slot] = endpoints

    def drift(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[str]:
        return [f"{what} is {found}, recorded is {recorded}" for what, found, recorded in self._differences(app, slots)]

    def repair(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[str]:
        differences = self._differences(app, slots)
        for slot in SLOTS:
            recorded = slots.get(slot)
            if recorded is not None and recorded.active:
                self.register(app, slot, recorded)
            else:
                self.park(app, slot)
        return [f"{what} was set to {recorded}, it was {found}" for what, found, recorded in differences]

    def _differences(self, app: str, slots: Mapping[Slot, SlotEndpoints]) -> list[tuple[str, str, str]]:
        self._proxy.workers()
        rows = []
        for slot in SLOTS:
            running, recorded = self._proxy.endpoints.get((app, slot)), slots.get(slot)
            for index in range(1, self._proxy.count(app) + 1):
                found, wanted = (each.target(index) if each is not None else "" for each in (running, recorded))
                if found != wanted:
                    rows.append((f"the address of replica {index} of {app} in {slot}", found, wanted))
            if running is not None and recorded is not None and running.version != recorded.version:
                rows.append((f"the version of {app} in {slot}", running.version, recorded.version))
        return rows

    def park(self, app: str, slot: Slot) -> None:
        self._proxy.workers()
        self._proxy.endpoints.pop((app, slot), None)

    def wait_up(self, app: str, slot: Slot, count: int, *, timeout: float, cancelled: Callable[[], None]) -> None:
        endpoints = self.health(app, slot)
        if sum(endpoint.up for endpoint in endpoints) >= count:
            return
        cancelled()
        reported = ", ".join(f"{endpoint.index} {endpoint.status}" for endpoint in endpoints) or "no server"
        raise ProxyError(f"no healthy server for {app} in {slot}", why=f"the proxy reports: {reported}")

    def health(self, app: str, slot: Slot) -> tuple[EndpointHealth, ...]:
        self._proxy.workers()
        running = {container.address for container in self._proxy.containers(app) if container.running}
        endpoints = self._proxy.endpoints.get((app, slot))
        addresses = endpoints.addresses if endpoints is not None else ()
        rows = []
        for index in range(1, self._proxy.count(app) + 1):
            up = index <= len(addresses) and addresses[index - 1] in running and (app, slot) not in self._proxy.failing
            target = endpoints.target(index) if endpoints is not None else ""
            rows.append(EndpointHealth(index, up, "UP" if up else "DOWN", target))
        return tuple(rows)

    def open_requests(self, app: str, slot: Slot) -> dict[int, int]:
        self._proxy.workers()
        counts = dict.fromkeys(range(1, self._proxy.count(app) + 1), 0)
        return {**counts, 1: self._proxy.open.get((app, slot), 0)} if counts else {}

    def answered(self, app: str, slot: Slot) -> dict[int, int]:
        self._proxy.workers()
        counts = dict.fromkeys(range(1, self._proxy.count(app) + 1), 0)
        return {**counts, 1: self._proxy.answered.get((app, slot), 0)} if counts else {}

    def cut(self, app: str, slot: Slot) -> int:
        self._proxy.workers()
        return self._proxy.open.pop((app, slot), 0)

    def counters(self, app: str) -> dict[str, dict[Slot, Sample]]:
        self._proxy.workers()
        if all(known.name != app for known in self._proxy.apps):
            return {}
        slots = {slot: self._proxy.counted.get((app, slot), Sample(0, 0, 0, {})) for slot in SLOTS}
        return {f"8-{len(self._proxy.built)}": slots}

    def unanswered(self, app: str) -> dict[str, int]:
        self._proxy.workers()
        return {f"8-{len(self._proxy.built)}": self._proxy.unanswered.get(app, 0)}
