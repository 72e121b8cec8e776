"""One state folder with a fake engine and a fake proxy, and with the real ledger, locks and use cases.

Any call of a port can be made to fail or to crash (`Faults`), and tests can check after each call that a running
version gets the traffic.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from orchestrator.adapters.posix.interrupts import ProcessInterrupts
from orchestrator.adapters.posix.locks import FileLocks
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.adapters.store.secrets import SecretStore
from orchestrator.config import Config, parse
from orchestrator.domain.moments import iso
from orchestrator.domain.naming import Names
from orchestrator.domain.traffic.slot import Slot
from orchestrator.ports.services import Services
from orchestrator.release.abort import abort
from orchestrator.release.promote import promote
from orchestrator.release.recover import Recovered, recover
from orchestrator.release.release import release
from orchestrator.release.result import Result
from orchestrator.release.rollback import rollback
from orchestrator.watch import passes
from orchestrator.watch.passed import Passed
from tests.fakes.edge import FakeEdge, FakeEndpoints, FakeProxyState, FakeTraffic
from tests.fakes.engine import (
    FakeContainerAccess,
    FakeEngineState,
    FakeImages,
    FakeLeftovers,
    FakeRegistry,
    FakeWorkloads,
)
from tests.fakes.outside import FakeHost, FakeNotifier, FakeProber, FakeScheduler, Reports
from tests.fakes.supply import FakeManifests, FakeModelFiles, FakeSourceControl, FakeTensors, SupplyState

EPOCH = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
APP = "mymodel"
TOML = """
[app]
name = "{app}"
port = 8080
[run]
replicas = {replicas}
{run}
env = {{ {env} }}
secrets = {{ {secrets} }}
[proxy]
listen = "{listen}"
timeout = "{timeout}"
drain = "2s"
[rollout]
keep_warm = "{keep_warm}"
settle = "{settle}"
bake = "{bake}"
{rollout}
[retention]
versions = {versions}
"""


def ignore(*arguments: object) -> None:
    """A hook that does nothing."""


@functools.cache
def empty_ledger() -> bytes:
    """The file of a new ledger: copying it is faster than creating it."""
    with TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db", now=lambda: iso(EPOCH))
        ledger.apps()
        ledger.close()
        return ledger.path.read_bytes()


class Crash(BaseException):
    """Simulates a crash of the process: no code of deployctl may catch it."""


class Faults:
    """Counts the calls of ports; raises `error` at call number `at`, before or after the call is made."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.at: int | None = None
        self.error: BaseException | None = None
        self.after = False
        self.watch: Callable[..., None] = ignore

    def arm(self, at: int | None, error: BaseException | None = None, *, after: bool = False) -> None:
        self.calls, self.at, self.error, self.after = [], at, error, after

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        error = self.raised(name) if number == self.at else None
        if error is not None and not self.after:
            raise error
        try:
            result = call()
        finally:
            self.watch(name)
        if error is not None:
            raise error
        return result

    def raised(self, name: str) -> BaseException | None:
        """What the call `name` raises when it is the one that fails."""
        return self.error


class Port:
    """A port whose calls go through `faults`. All attributes are private, because a port may have any method."""

    def __init__(self, name: str, adapter: Any, faults: Faults) -> None:
        self._name, self._adapter, self._faults = name, adapter, faults

    def __getattr__(self, method: str) -> Any:
        bound = getattr(self._adapter, method)
        if not callable(bound):
            return bound
        return lambda *args, **kwargs: self._faults.around(f"{self._name}.{method}", lambda: bound(*args, **kwargs))


class World:
    """One state folder, one engine, one proxy. `process()` starts a new process with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Dockerfile").write_text("FROM scratch\n")
        if not (ledger := folder / "ledger.db").exists():
            ledger.touch(0o600)
            ledger.write_bytes(empty_ledger())
        self.engine = FakeEngineState()
        self.workloads = FakeWorkloads(self.engine)
        self.access = FakeContainerAccess(self.engine)
        self.images = FakeImages(self.engine)
        self.proxy = FakeProxyState(self.workloads.containers, now=self.timestamp)
        self.edge = FakeEdge(self.proxy)
        self.traffic = FakeTraffic(self.proxy)
        self.endpoints = FakeEndpoints(self.proxy)
        self.prober = FakeProber(self.workloads.containers)
        self.prober.through = self.through
        self.supply = SupplyState(root=folder / "models")
        self.manifests = FakeManifests(self.supply)
        self.models = FakeModelFiles(self.supply)
        self.notifier = FakeNotifier()
        self.scheduler = FakeScheduler()
        self.host = FakeHost()
        self.faults = Faults()
        self.time = 0.0
        self.wall_offset = timedelta()  # by how much a user has set the clock
        self.boundaries: list[tuple[str, str]] = []
        self.boundary: Callable[..., None] = ignore
        self.settle = "0s"
        self.replicas, self.keep_warm, self.env, self.secrets, self.versions = 1, "10m", "", "", 5
        self.listen, self.timeout, self.bake = "127.0.0.1:8000", "1h", "0s"
        self.run = ""  # lines in [run]
        self.rollout = ""  # lines in [rollout]
        self.more = ""  # lines at the end of deploy.toml
        self.live_before: dict[str, tuple[str | None, str | None]] = {}
        self.ledgers: list[SqliteLedger] = []
        self.services = self.process()

    # A pickled world is restored with a new process; the caller must copy its folder as well.

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "ledgers": [], "services": None, "reports": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.process()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.time) + self.wall_offset

    def timestamp(self) -> float:
        return self.now().timestamp()

    def through(self) -> int:
        closed = self.proxy.running is not None and self.proxy.running[APP].maintenance is not None
        return 200 if self.served() and not closed else 503

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def config(self, app: str = APP, **more: str) -> Config:
        """The app's deploy.toml; `more` replaces values of this world."""
        names = ("replicas", "run", "env", "secrets", "listen", "timeout", "keep_warm", "settle", "bake", "rollout")
        values = {name: getattr(self, name) for name in names}
        text = TOML.format(app=app, versions=self.versions, **{**values, **more})
        return parse(text + self.more, file="deploy.toml", base=self.folder)

    def process(self) -> Services:
        """A new process: it has its own connection to the ledger and its own interrupts."""
        ledger = SqliteLedger(self.folder / "ledger.db", now=lambda: iso(self.now()))
        self.ledgers.append(ledger)
        self.reports = Reports()

        def boundary(when: str, step: str) -> None:
            self.boundaries.append((when, step))
            self.boundary(when, step)

        ports: dict[str, Any] = {
            "workloads": self.workloads,
            "access": self.access,
            "images": self.images,
            "leftovers": FakeLeftovers(self.engine),
            "registry": FakeRegistry(self.engine),
            "edge": self.edge,
            "traffic": self.traffic,
            "endpoints": self.endpoints,
            "prober": self.prober,
            "ledger": ledger,
            "manifests": self.manifests,
            "models": self.models,
            "source_control": FakeSourceControl(self.supply),
            "tensors": FakeTensors(),
            # The real one, because crashes may also happen between its changes on disk.
            "secrets": SecretStore(self.folder / "secrets"),
        }
        self.services = Services(
            state_dir=self.folder,
            names=Names("default"),
            **{name: Port(name, port, self.faults) for name, port in ports.items()},
            scheduler=self.scheduler,
            locks=FileLocks(self.folder / "locks", command="deployctl test", now=lambda: iso(self.now())),
            notifier=self.notifier,
            host=self.host,
            reporter=self.reports,
            interrupts=ProcessInterrupts(),
            command="deployctl test",
            wall=self.now,
            clock=lambda: self.time,
            sleep=self.sleep,
            boundary=boundary,
        )
        return self.services

    def close(self) -> None:
        for ledger in self.ledgers:
            ledger.close()

    # Commands, each in a new process

    def release(self, version: str | None = None, *, context: str | None = None, force: bool = False) -> Result:
        if version is not None:
            self.supply.context = context or f"sha256:{version}"
        return release(self.process(), self.config(), version, force=force)

    def release_image(self, image: str, version: str | None = None, *, force: bool = False) -> Result:
        return release(self.process(), self.config(), version, force=force, image=image)

    def preview(self, version: str) -> Result:
        self.supply.context = f"sha256:{version}"
        return release(self.process(), self.config(), version, preview=True)

    def promote(self, *, full: bool = False) -> Result:
        return promote(self.process(), self.config(), full=full)

    def abort(self, why: str = "") -> Result:
        return abort(self.process(), self.config(), why)

    def rollback(self, to: str | None = None) -> Result:
        return rollback(self.process(), self.config(), to)

    def recover(self) -> Recovered:
        services = self.process()
        with services.locks.app(APP):
            return recover(services, APP)

    def watch(self) -> Passed:
        return passes.run(self.process(), APP)

    # State

    @property
    def ledger(self) -> SqliteLedger:
        return self.ledgers[-1]

    def live(self, app: str = APP) -> tuple[str, Slot] | None:
        """The live version and its slot according to the ledger; None without one."""
        slot = self.ledger.traffic(app).live
        if slot is None:
            return None
        state = self.ledger.slots(app)[slot]
        assert state.state == "ready", f"{state} is live"
        return state.version, slot

    def served(self, app: str = APP) -> str | None:
        """The version that answers a request now; None when a request would fail."""
        if self.proxy.running is None or app not in self.proxy.running:
            return None
        slot = self.proxy.running[app].live
        endpoints = self.proxy.endpoints.get((app, slot)) if slot else None
        if endpoints is None:
            return None
        running = {c.address: c for c in self.workloads.containers(app) if c.running}
        versions = {running[address].version for address in endpoints.addresses if address in running}
        return versions.pop() if len(versions) == 1 else None

    def kept_secrets(self) -> Mapping[str, tuple[int, ...]]:
        """The deployments of each version that have a copy of their secrets."""
        return SecretStore(self.folder / "secrets").kept(APP)

    def facts(self) -> dict[str, Any]:
        """The complete state except times and ids, to compare it with a later one."""
        return {
            "containers": [(c.name, c.state, c.kept_running) for c in self.workloads.containers()],
            "disk": dict(self.proxy.disk),
            "running": None if self.proxy.running is None else dict(self.proxy.running),
            "slots": {slot: (s.version, s.state) for slot, s in self.ledger.slots(APP).items()},
            "traffic": self.ledger.traffic(APP),
            "open": self.ledger.open_deployment(APP),
            "proxy_apps": self.ledger.proxy_apps(),
        }
