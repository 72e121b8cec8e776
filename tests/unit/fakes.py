"""An engine, a proxy and a prober in memory, behind the same ports as the real ones.

`World` puts them together with the real ledger, the real locks and the real use cases. It can fail or die at
any call that leaves the use cases (`Faults`), and it watches the promise at each of them: what the route points
at is a version that runs.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from orchestrator.adapters.haproxy import render
from orchestrator.adapters.old_sqlite.ledger import SqliteLedger
from orchestrator.adapters.posix.interrupts import ProcessInterrupts
from orchestrator.adapters.posix.locks import FileLocks
from orchestrator.adapters.store.secrets import SecretStore
from orchestrator.config import Config, parse
from orchestrator.domain.health.probe import ProbeSpec, Reply, Target
from orchestrator.domain.moments import iso
from orchestrator.domain.naming import Names, image
from orchestrator.domain.record import labels as record
from orchestrator.domain.record.labels import Evidence
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.version.manifest import Manifest
from orchestrator.domain.version.version import GitState, Version
from orchestrator.domain.watch.schedule import Entry, Job, Kind
from orchestrator.errors import BuildFailed, EngineError, ProbeFailed, ProxyError
from orchestrator.ports.services import Services
from orchestrator.release.recover import Recovered, recover
from orchestrator.release.release import Result, release
from orchestrator.release.rollback import rollback
from orchestrator.watch import passes as watchdog
from orchestrator.watch.passes import Passed

SUBNET = "10.213.0.0/18"
EPOCH = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


class Crash(BaseException):
    """The process dies here: nothing in the program may catch this."""


class FakeEngine:
    """Containers and images as dictionaries."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        # Images whose tag went to a newer one: found by their ids until somebody removes them.
        self.untagged: set[str] = set()
        self.network = False
        # What the registry has, by its pinned names; what it refuses with; names that a push or a pull left behind.
        self.registry: dict[str, str] = {}
        self.refusal = ""
        self.names: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.records: dict[str, tuple[str, dict[str, str]]] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.image_label: dict[str, dict[str, str]] = {}
        self.exits: set[str] = set()
        self.broken_builds: set[str] = set()
        self.built: list[str] = []
        self.restarted: list[str] = []
        self._containers: dict[str, Container] = {}
        self._numbers = itertools.count(1)

    def ping(self) -> dict[str, str]:
        return {"version": "fake", "api": "1.41"}

    def ensure_network(self) -> str:
        self.network = True
        return SUBNET

    def remove_network_if_unused(self) -> bool:
        removed = self.network and not self._containers
        self.network = self.network and not removed
        return removed

    def build(
        self,
        config: Config,
        version: str,
        *,
        labels: dict[str, str],
        progress: Callable[[str], None],
        cancelled: Callable[[], None],
    ) -> str:
        cancelled()
        progress(f"building {version}")
        if version in self.broken_builds:
            raise BuildFailed(f"{image(config.app.name, version)} could not be built", details="RUN false")
        self.built.append(version)
        found = f"sha256:{len(self.built):064x}"
        tag = image(config.app.name, version)
        if tag in self.images:
            self.untagged.add(self.images[tag])
        self.images[tag] = found
        self.image_label[found] = labels
        return found

    def image_labels(self, image_id: str) -> dict[str, str] | None:
        return self.image_label.get(image_id) if self.image_id(image_id) else None

    def container_labels(self, container: Container) -> dict[str, str]:
        self._known(container)
        return self.labels[container.id]

    def files_in(self, container: Container, folder: str) -> dict[str, str]:
        self._known(container)
        return {}

    def image_id(self, reference: str) -> str | None:
        ids = {*self.images.values(), *self.untagged}
        return self.images.get(reference) or (reference if reference in ids else None)

    def layers(self, image_id: str) -> list[tuple[str, int]]:
        return [(image_id, 1)] if self.image_id(image_id) else []

    def remove_image(self, reference: str, image_id: str) -> bool:
        if any(container.image_id == image_id for container in self._containers.values()):
            return False
        if image_id in self.untagged:
            self.untagged.remove(image_id)
            return True
        if self.images.get(reference) != image_id:
            return False
        del self.images[reference]
        return True

    def push(
        self, image_id: str, reference: str, *, progress: Callable[[str], None], cancelled: Callable[[], None]
    ) -> str:
        cancelled()
        if self.image_id(image_id) is None:
            raise EngineError("the engine could not push the image", why=f"No such image: {image_id}")
        if self.refusal:
            raise EngineError(f"{reference} could not be pushed", why=self.refusal, hint="docker login")
        progress(f"pushing {reference}")
        pinned = f"{reference.rpartition(':')[0]}@sha256:{image_id[7:][::-1]}"
        self.registry[pinned] = image_id
        return pinned

    def pull(self, version: Version, *, progress: Callable[[str], None], cancelled: Callable[[], None]) -> str:
        cancelled()
        assert version.pushed is not None
        if self.refusal or version.pushed not in self.registry:
            why = self.refusal or "manifest unknown"
            raise EngineError(f"{version.pushed} could not be pulled", why=why, hint="docker login")
        progress(f"pulling {version.pushed}")
        found = self.registry[version.pushed]
        if self.images.get(version.image, found) != found:
            self.untagged.add(self.images[version.image])
        self.images[version.image] = found
        self.untagged.discard(found)
        return found

    def untag(self, reference: str) -> bool:
        return self.names.pop(reference, None) is not None

    def check_registry(self, repository: str) -> None:
        if self.refusal:
            raise EngineError(f"{repository} cannot be asked", why=self.refusal, hint="docker login")

    def containers(self, app: str | None = None) -> tuple[Container, ...]:
        found = [container for container in self._containers.values() if app in (None, container.app)]
        return tuple(sorted(found, key=lambda container: container.name))

    def create(
        self,
        config: Config,
        version: Version,
        slot: Slot,
        index: int,
        *,
        deployment: int,
        address: str,
        settings: str,
    ) -> Container:
        name = Names("default").container(version.app, version.name, slot, index)
        if any(container.name == name for container in self._containers.values()):
            raise EngineError(f"the engine could not create the container {name}", why="the name is already in use")
        if self.image_id(version.image_id) is None:
            raise EngineError(f"the engine could not create the container {name}", why="No such image")
        made = Container(
            id=f"c{next(self._numbers)}",
            name=name,
            app=version.app,
            version=version.name,
            slot=slot,
            deployment=deployment,
            index=index,
            image_id=version.image_id,
            state="created",
            address=address,
        )
        self._containers[made.id] = made
        self.settings[made.id] = settings
        self.records[made.id] = (record.write(version, config.snapshot()), config.environment())
        self.labels[made.id] = {
            "deployctl.state": "default",
            "deployctl.app": version.app,
            "deployctl.version": version.name,
            "deployctl.manifest": version.manifest,
            "deployctl.slot": slot,
            "deployctl.index": str(index),
            "deployctl.deployment": str(deployment),
        }
        return made

    def start(self, container: Container) -> None:
        self._known(container)
        for found in self._containers.values():
            if found.running and found.address == container.address and found.id != container.id:
                raise EngineError(f"the engine could not start the container {container.name}", why="address in use")
        if container.version in self.exits:
            self._change(container, state="exited", exit_code=1)
        else:
            self._change(container, state="running")

    def stop(self, container: Container) -> None:
        if container.id in self._containers:
            state = "created" if self._containers[container.id].state == "created" else "exited"
            self._change(container, state=state, kept_running=False)

    def remove(self, container: Container) -> None:
        self._containers.pop(container.id, None)

    def set_restart(self, container: Container, policy: str) -> None:
        self._known(container)
        self._change(container, kept_running=policy == "always")

    def unpause(self, container: Container) -> None:
        self._known(container)
        self._change(container, state="running")

    def connect(self, container: Container, address: str) -> None:
        self._known(container)
        self._change(container, address=address)

    def restart(self, container: Container) -> None:
        self._known(container)
        self.restarted.append(container.name)
        self._change(container, state="running")

    def oom_kills(self, container: Container, since: float) -> int:
        return 0

    def inspect(self, container_id: str) -> Container | None:
        return self._containers.get(container_id)

    def logs(self, container: Container, *, tail: int, follow: bool = False) -> Iterator[str]:
        self._known(container)
        if self._containers[container.id].state == "created":
            return
        yield from [f"{container.name} says hello", f"{container.name} gives up"][-tail:]

    def execute(self, container: Container, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        self._known(container)
        if not self._containers[container.id].running:
            raise EngineError(f"the engine could not run {command[0]} in {container.name}", why="it is not running")
        out.write(" ".join(command).encode())
        return 0

    def settings_of(self, container: Container) -> str:
        self._known(container)
        return self.settings[container.id]

    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(
            Evidence(container, *self.records[container.id], "2031-01-01T00:00:00.000Z")
            for container in self.containers()
        )

    def _known(self, container: Container) -> None:
        if container.id not in self._containers:
            raise EngineError(f"the engine could not find {container.name}", why="No such container")

    def _change(self, container: Container, **changes: Any) -> None:
        self._containers[container.id] = replace(self._containers[container.id], **changes)


class FakeProxy:
    """`disk` is routes.map; `running` is what the workers have, None when the proxy does not run."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.disk: dict[str, Slot] = {}
        self.running: dict[str, Slot] | None = None
        self.config = ""
        self.apps: tuple[ProxyApp, ...] = ()
        self.parked: set[tuple[str, Slot]] = set()
        self.open: dict[tuple[str, Slot], int] = {}
        self.reloads = 0
        self.counted: dict[tuple[str, Slot], Sample] = {}
        self.spares: dict[str, Slot] = {}
        self.now: Callable[[], float] = float
        self.written: float | None = None

    def state(self) -> str:
        return "missing" if self.running is None else "running"

    def up(self, apps: Sequence[ProxyApp], progress: Callable[[str], None]) -> None:
        if self.running is None:
            progress("starting the proxy")
            self.running = dict(self.disk)
            self._load(apps)

    def down(self) -> None:
        self.running = None

    def reload(self) -> None:
        self._workers()
        self.running = dict(self.disk)

    def apply(self, apps: Sequence[ProxyApp], progress: Callable[[str], None]) -> bool:
        self.up(apps, progress)
        if self.config == render.configuration("@config@", apps, 1)[1]:
            self.apps = tuple(apps)
            return False
        self._load(apps)
        self.running = dict(self.disk)
        self.reloads += 1
        return True

    def check_listen(self, route: Route) -> None:
        return

    def route(self, app: str) -> Slot | None:
        return self.disk.get(app)

    def route_known(self, app: str) -> bool:
        return app in self.disk

    def drift(self, apps: Sequence[ProxyApp]) -> list[str]:
        return [] if self.config == render.configuration("@config@", apps, 1)[1] else ["haproxy.cfg"]

    def known_routes(self) -> dict[str, Slot]:
        return dict(self.disk or self.running or {})

    def running_route(self, app: str) -> Slot | None:
        return self._workers().get(app)

    def switch(self, app: str, slot: Slot) -> None:
        self.disk[app] = slot
        self.written = self.now()
        self._workers()[app] = slot

    def switched_at(self, app: str) -> float | None:
        return self.written if app in self.disk else None

    def forget(self, app: str) -> None:
        self.disk.pop(app, None)
        if self.running is not None:
            self.running.pop(app, None)

    def activate(self, app: str, slot: Slot, spec: SlotEndpoints) -> None:
        self._workers()
        self.parked.discard((app, slot))

    def park(self, app: str, slot: Slot) -> None:
        self._workers()
        self.parked.add((app, slot))

    def wait_up(self, app: str, slot: Slot, count: int, *, timeout: float, cancelled: Callable[[], None]) -> None:
        cancelled()
        verdicts = self.servers(app, slot)
        if list(verdicts.values()).count("UP") < count:
            raise ProxyError(f"the proxy does not see {app} in {slot} up", why=str(verdicts))

    def servers(self, app: str, slot: Slot) -> dict[str, str]:
        self._workers()
        known = next((found for found in self.apps if found.name == app), None)
        if known is None:
            return {}
        running = {container.address for container in self._engine.containers(app) if container.running}
        return {
            f"s{number}": "MAINT" if (app, slot) in self.parked else "UP" if address in running else "DOWN"
            for number, address in enumerate(known.slots[slot].addresses, 1)
        }

    def sessions(self, app: str, slot: Slot) -> int:
        self._workers()
        return self.open.get((app, slot), 0)

    def open_requests(self, app: str, slot: Slot) -> dict[str, int]:
        count = self.sessions(app, slot)
        return {"1": count} if count else {}

    def samples(self, app: str, slot: Slot) -> dict[str, Sample]:
        self._workers()
        found = self.counted.get((app, slot))
        return {"8": found} if found else {}

    def set_spare(self, app: str, slot: Slot | None, apps: Sequence[ProxyApp]) -> None:
        self._workers()
        self.spares = {known.name: known.spare for known in apps if known.spare}

    def cut(self, app: str, slot: Slot) -> int:
        return self.open.pop((app, slot), 0)

    def repair(
        self, app: str, apps: Sequence[ProxyApp], routes: Mapping[str, Slot], progress: Callable[[str], None]
    ) -> list[str]:
        mended = []
        wanted = {**routes, **self.disk}
        if app in routes:
            wanted[app] = routes[app]
        if self.disk != wanted:
            self.disk = dict(wanted)
            mended.append("routes.map restored from the ledger")
        if self.running is None:
            self.up(apps, progress)
            mended.append("the proxy started")
        if self.config != render.configuration("@config@", apps, 1)[1]:
            self._load(apps)
            mended.append("the proxy's configuration loaded anew")
        if self.running != wanted:
            self.running = dict(wanted)
            mended.append("the running proxy's routes set")
        return mended

    def _workers(self) -> dict[str, Slot]:
        if self.running is None:
            raise ProxyError("the proxy does not answer", why="it does not run", hint="deployctl proxy up")
        return self.running

    def _load(self, apps: Sequence[ProxyApp]) -> None:
        self.config, self.apps = render.configuration("@config@", apps, 1)[1], tuple(apps)
        # As the real one, after a reload: the file says which slots are in use.
        self.parked = {(app.name, slot) for app in apps for slot in SLOTS if not app.slots[slot].active}


class FakeProber:
    """A container that runs is ready, unless its version is `unready`."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.unready: set[str] = set()
        self.silent: set[str] = set()
        # What a request through the proxy gets.
        self.through: Callable[[], int] = lambda: 200

    def probe(self, address: str, spec: ProbeSpec) -> Reply:
        if address == "127.0.0.1":
            return Reply(status=self.through())
        for container in self._engine.containers():
            if container.running and container.address == address and container.version not in self.silent:
                return Reply(status=503 if container.version in self.unready else 200)
        return Reply(error="connection refused", refused=True)

    def wait_ready(
        self,
        targets: Sequence[Target],
        spec: ProbeSpec,
        *,
        alive: Callable[[Target], str | None],
        progress: Callable[[str], None],
        cancelled: Callable[[], None],
    ) -> None:
        for target in targets:
            cancelled()
            ended = alive(target)
            if ended:
                raise ProbeFailed(f"{target.name} did not become ready", why=ended)
            reply = self.probe(target.address, spec)
            if reply.status != 200:
                raise ProbeFailed(f"{target.name} did not become ready within {spec.deadline:g} s", why=str(reply))


@dataclass
class FakeArtifacts:
    """What is built is whatever `context` says."""

    context: str = "sha256:1"
    commit: str | None = None
    written: str | None = None
    snapshots: set[str] = field(default_factory=set)
    commit_of: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    tidied: int = 0

    def manifest(self, config: Config, *, keep: bool, progress: Callable[[str], None] = lambda text: None) -> Manifest:
        made = Manifest()
        made.__dict__["digest"] = self.context  # where it keeps what it has computed
        return made

    def changed(self, config: Config, manifest: Manifest) -> str | None:
        return self.written

    def known(self, digest: str) -> Manifest | None:
        return None

    def git(self, config: Config) -> GitState:
        return GitState(commit=self.commit, dirty=False if self.commit else None, user="Somebody <some@body>")

    def user(self, folder: Path) -> str | None:
        return "Somebody <some@body>"

    def snapshot(self, app: str, version: str, manifest: Manifest) -> None:
        self.snapshots.add(f"{app}/{version}")

    def resolve(self, config: Config, ref: str) -> str:
        return self.commit_of[ref]

    @contextmanager
    def at(self, config: Config, commit: str) -> Iterator[tuple[Config | None, Config]]:
        yield None, config

    @contextmanager
    def checkout(self, config: Config, version: Version) -> Iterator[Config]:
        yield config

    def tag(self, config: Config, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
        if self.tags.get(name) == commit:
            return False, ""
        self.tags[name] = commit
        return True, ""

    def drop_snapshot(self, app: str, version: str) -> None:
        self.snapshots.discard(f"{app}/{version}")

    def restore_snapshot(self, config: Config, version: Version) -> None:
        return

    def keep(self, version: Version) -> None:
        return

    def collect(self) -> int:
        return 0

    def tidy(self, app: str) -> None:
        self.tidied += 1

    def check_objects(self, progress: Callable[[str], None]) -> Iterator[tuple[str, str | None]]:
        yield from ()

    def tree_faults(self, app: str, version: str, manifest: Manifest) -> list[str]:
        return []


@dataclass
class FakeNotifier:
    """Remembers whom it was to tell what; `why` is what it says is wrong."""

    told: list[dict[str, Any]] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)
    why: str | None = None
    error: BaseException | None = None

    def tell(self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float) -> str | None:
        said = {"urls": list(urls), "title": title, "body": body, "severity": severity, "timeout": timeout}
        self.told.append(said)
        if self.error is not None:
            raise self.error
        return self.why

    def deliver(
        self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float
    ) -> tuple[str | None, ...]:
        return (self.tell(urls, title, body, severity=severity, timeout=timeout),) * len(urls)

    def beat(self, url: str, timeout: float) -> str | None:
        self.beats.append(url)
        return self.why


@dataclass
class Reports:
    """The reporter: remembers what was said."""

    steps: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.steps.append(text)

    def detail(self, text: str) -> None:
        self.details.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)


def ignore(*arguments: object) -> None:
    """A hook that does nothing."""


class Faults:
    """Counts the calls that leave the use cases; at number `at` it raises `error`, before or after the call."""

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
        mine = number == self.at and self.error is not None
        if mine and not self.after:
            raise self.error  # type: ignore[misc]
        try:
            found = call()
        finally:
            self.watch(name)
        if mine:
            raise self.error  # type: ignore[misc]
        return found


class Port:
    """A port whose every call goes through `faults`."""

    def __init__(self, name: str, inner: Any, faults: Faults) -> None:
        self._name, self._inner, self._faults = name, inner, faults

    def __getattr__(self, method: str) -> Any:
        bound = getattr(self._inner, method)
        if not callable(bound):
            return bound
        return lambda *args, **kwargs: self._faults.around(f"{self._name}.{method}", lambda: bound(*args, **kwargs))


APP = "mymodel"
TOML = """
[app]
name = "{app}"
port = 8080
[run]
replicas = {replicas}
env = {{ {env} }}
secrets = {{ {secrets} }}
[proxy]
listen = "{listen}"
drain = "2s"
[rollout]
keep_warm = "{keep_warm}"
bake = "{bake}"
[retention]
versions = {versions}
"""


class FakeScheduler:
    """Schedules as a list. `broken` is what is wrong with each kind."""

    def __init__(self) -> None:
        self.root = True
        self.installed: list[Entry] = []
        self.broken: dict[Kind, str] = {}

    def choose(self, *, systemd: bool, user: bool) -> Kind:
        own = user or not self.root
        if systemd:
            return "systemd --user" if own else "systemd"
        return "crontab" if own else "cron.d"

    def entries(self, app: str) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.installed if entry.app == app)

    def install(self, job: Job, kind: Kind) -> tuple[bool, tuple[str, ...]]:
        entry = Entry(kind, f"{kind} of {job.app}", job.app, job.state_dir, job.file, job.every)
        if entry in self.installed:
            return False, ()
        self.installed = [old for old in self.installed if (old.kind, old.app) != (kind, job.app)] + [entry]
        return True, ()

    def remove(self, entry: Entry) -> None:
        self.installed.remove(entry)

    def trouble(self, kind: Kind, app: str) -> str | None:
        return self.broken.get(kind)


@functools.cache
def empty_ledger() -> bytes:
    """The file of a new ledger: copying it costs less than the migrations do."""
    with TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db", now=lambda: iso(EPOCH))
        ledger.apps()
        ledger.close()
        return ledger.path.read_bytes()


class World:
    """One state folder, one engine, one proxy. `process()` is a new process in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Dockerfile").write_text("FROM scratch\n")
        if not (ledger := folder / "ledger.db").exists():
            ledger.touch(0o600)
            ledger.write_bytes(empty_ledger())
        self.engine = FakeEngine()
        self.proxy = FakeProxy(self.engine)
        self.proxy.now = self.timestamp
        self.prober = FakeProber(self.engine)
        self.prober.through = self.through
        self.artifacts = FakeArtifacts()
        self.notifier = FakeNotifier()
        self.scheduler = FakeScheduler()
        self.faults = Faults()
        self.time = 0.0
        self.wall_offset = timedelta()  # somebody has set the wall clock
        self.boundaries: list[tuple[str, str]] = []
        self.boundary: Callable[..., None] = ignore
        self.replicas, self.keep_warm, self.env, self.secrets, self.versions = 1, "10m", "", "", 5
        self.listen, self.bake = "127.0.0.1:8000", "0s"
        self.more = ""  # lines at the end of deploy.toml
        self.live_before: dict[str, tuple[str | None, str | None]] = {}
        self.ledgers: list[SqliteLedger] = []
        self.services = self.process()

    # A copy of a world (pickle) is the same world in new processes: its folder is copied by whoever copies it.

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
        return 200 if self.served() else 503

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def config(self) -> Config:
        names = ("replicas", "env", "secrets", "listen", "keep_warm", "bake", "versions")
        text = TOML.format(app=APP, **{name: getattr(self, name) for name in names})
        return parse(text + self.more, file="deploy.toml", base=self.folder)

    def process(self) -> Services:
        """A new process: its own ledger connection and interrupts, the same world."""
        ledger = SqliteLedger(self.folder / "ledger.db", now=lambda: iso(self.now()))
        self.ledgers.append(ledger)
        self.reports = Reports()

        def boundary(when: str, step: str) -> None:
            self.boundaries.append((when, step))
            self.boundary(when, step)

        self.services = Services(
            state_dir=self.folder,
            names=Names("default"),
            engine=Port("engine", self.engine, self.faults),  # type: ignore[arg-type]
            proxy=Port("proxy", self.proxy, self.faults),  # type: ignore[arg-type]
            prober=Port("prober", self.prober, self.faults),  # type: ignore[arg-type]
            ledger=Port("ledger", ledger, self.faults),  # type: ignore[arg-type]
            artifacts=Port("artifacts", self.artifacts, self.faults),  # type: ignore[arg-type]
            # The real one: what it does to the disk is part of what crashes here.
            secrets=Port("secrets", SecretStore(self.folder / "secrets"), self.faults),  # type: ignore[arg-type]
            scheduler=self.scheduler,
            locks=FileLocks(self.folder / "locks", command="deployctl test", now=lambda: iso(self.now())),
            notifier=self.notifier,
            reporter=self.reports,
            interrupts=ProcessInterrupts(),
            command="deployctl test",
            wall=self.now,
            clock=lambda: self.time,
            sleep=self.sleep,
            os_user=lambda: "somebody",
            boundary=boundary,
        )
        return self.services

    def close(self) -> None:
        for ledger in self.ledgers:
            ledger.close()

    # Commands, each in a process of its own

    def release(self, version: str | None = None, *, context: str | None = None, force: bool = False) -> Result:
        if version is not None:
            self.artifacts.context = context or f"sha256:{version}"
        return release(self.process(), self.config(), version, force=force)

    def rollback(self, to: str | None = None) -> Result:
        return rollback(self.process(), self.config(), to)

    def recover(self) -> Recovered:
        services = self.process()
        with services.locks.app(APP):
            return recover(services, APP)

    def watch(self) -> Passed:
        return watchdog.run(self.process(), APP)

    # What is true

    @property
    def ledger(self) -> SqliteLedger:
        return self.ledgers[-1]

    def live(self) -> tuple[str, Slot] | None:
        """What the ledger calls live."""
        found = [(s.version, s.slot) for s in self.ledger.slots(APP).values() if s.state == "live"]
        assert len(found) <= 1, f"two live slots: {found}"
        return found[0] if found else None

    def served(self) -> str | None:
        """The version that answers a request now; None when a request would fail."""
        if self.proxy.running is None:
            return None
        slot = self.proxy.running.get(APP)
        known = next((app for app in self.proxy.apps if app.name == APP), None)
        if slot is None or known is None or (APP, slot) in self.proxy.parked:
            return None
        behind = {c.address: c for c in self.engine.containers(APP) if c.running}
        found = {behind[a].version for a in known.slots[slot].addresses if a in behind}
        return found.pop() if len(found) == 1 else None

    def kept_secrets(self) -> Mapping[str, tuple[int, ...]]:
        """The deployments of each version that have a copy of their secrets."""
        return SecretStore(self.folder / "secrets").kept(APP)

    def facts(self) -> dict[str, Any]:
        """All that another command could tell apart, without times and ids."""
        return {
            "containers": [(c.name, c.state, c.kept_running) for c in self.engine.containers()],
            "disk": dict(self.proxy.disk),
            "running": None if self.proxy.running is None else dict(self.proxy.running),
            "slots": {slot: (s.version, s.state) for slot, s in self.ledger.slots(APP).items()},
            "open": self.ledger.open_deployment(APP),
            "proxy_apps": self.ledger.proxy_apps(),
        }
