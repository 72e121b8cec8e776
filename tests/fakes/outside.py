"""Fakes of the notifier, the scheduler, the host, the reporter and the prober."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.diagnosis import Protocol
from orchestrator.domain.health.probe import ProbeSpec, Ready, Reply, Target
from orchestrator.domain.health.tally import Tally, too_late
from orchestrator.domain.rollout.gpu_fit import Gpus
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.watch.schedule import Entry, Job, Kind
from orchestrator.errors import DeployctlError, ProbeFailed
from orchestrator.ports.host import HostMemory
from orchestrator.ports.prober import unknown
from orchestrator.ports.progress import Progress
from tests.fakes.engine import KERNEL, MACHINE_MEMORY


@dataclass
class FakeNotifier:
    """Records notifications. `why` is why deliveries fail; `error` is raised by them."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)
    why: str | None = None
    error: BaseException | None = None

    def tell(self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float) -> str | None:
        verdicts = self.deliver(urls, title, body, severity=severity, timeout=timeout)
        return next((why for why in verdicts if why is not None), None)

    def deliver(
        self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float
    ) -> tuple[str | None, ...]:
        self.sent.append({"urls": list(urls), "title": title, "body": body, "severity": severity, "timeout": timeout})
        if self.error is not None:
            raise self.error
        return (self.why,) * len(urls)

    def beat(self, url: str, timeout: float) -> str | None:
        self.beats.append(url)
        return self.why


class FakeScheduler:
    """Schedules in a list. `broken` says why schedules of a kind are not started."""

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
        self.installed = [old for old in self.installed if (old.kind, old.app) != (entry.kind, entry.app)]

    def trouble(self, kind: Kind, app: str) -> str | None:
        return self.broken.get(kind)


@dataclass
class FakeHost:
    """A machine with one user; its environment is empty by default, and most of its memory available.

    `uses` is the memory of containers by their ids; without an entry it cannot be measured.
    """

    name: str = "somebody"
    host: str = "host"
    environ: Mapping[str, str] = field(default_factory=dict)
    exposed: dict[str, str] = field(default_factory=dict)
    available: int = MACHINE_MEMORY * 3 // 4
    uses: dict[str, int] = field(default_factory=dict)
    gpus_now: Gpus = field(default_factory=Gpus)

    def memory(self) -> HostMemory | None:
        return HostMemory(MACHINE_MEMORY, self.available, KERNEL)

    def memory_of(self, container: str, pid: int) -> int | None:
        return self.uses.get(container)

    def gpus(self, containers: Collection[str]) -> Gpus:
        return self.gpus_now

    def user(self) -> str:
        return self.name

    def writers(self, path: Path) -> str | None:
        return self.exposed.get(str(path))

    def hostname(self) -> str:
        return self.host


@dataclass
class Reports:
    """A reporter that records its messages."""

    steps: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.steps.append(text)

    def detail(self, text: str) -> None:
        self.details.append(text)

    def update(self, text: str) -> None:
        self.details.append(text)

    def log(self, text: str) -> None:
        self.logged.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)


def _answer() -> int:
    """The status of a successful request. Not a lambda, because worlds are pickled."""
    return 200


class FakeProber:
    """A running container is ready, unless its version is `unready` or `silent`; 127.0.0.1 is the proxy.

    `lives` is what the path /livez of a version answers, 200 by default. `paths` are the only paths of a version that
    exist; without an entry all do.
    """

    def __init__(self, containers: Callable[[], Iterable[Container]]) -> None:
        self._containers = containers
        self.unready: set[str] = set()
        self.silent: set[str] = set()
        self.lives: dict[str, int] = {}
        self.paths: dict[str, set[str]] = {}
        self.speaks: Protocol = ""
        # Whether the models close connections when they are asked to.
        self.closing = True
        # Returns the status of a request through the proxy.
        self.through: Callable[[], int] = _answer

    def probe(self, address: str, spec: ProbeSpec) -> Reply:
        if address == "127.0.0.1":
            return Reply(status=self.through())
        for container in self._containers():
            if container.running and container.address == address and spec.path == "/livez":
                return Reply(status=self.lives.get(container.version, 200))
            if container.running and container.address == address and container.version not in self.silent:
                if spec.path not in self.paths.get(container.version, {spec.path}):
                    return Reply(status=404)
                return Reply(status=503 if container.version in self.unready else 200)
        return Reply(error="connection refused", refused=True)

    def protocol(self, address: str, port: int, timeout: float) -> Protocol:
        return self.speaks

    def wait_ready(
        self,
        targets: Sequence[Target],
        spec: ProbeSpec,
        *,
        alive: Callable[[Target], str | None],
        progress: Progress,
        diagnose: Callable[[Target, Tally], Cause | None] = unknown,
    ) -> Ready:
        path = spec.path
        for target in targets:
            progress.check()
            ended = alive(target)
            if ended:
                raise ProbeFailed(f"{target.name} did not become ready", why=ended)
            tally = Tally(spec)
            for path in spec.paths:
                reply = self.probe(target.address, spec.at(path))
                tally = tally.after(reply)
                if reply.status == 200:
                    break
            else:
                cause = None
                with suppress(DeployctlError):
                    cause = diagnose(target, tally)
                raise too_late(target.name, tally, cause)
        return Ready(path, self.closing)
