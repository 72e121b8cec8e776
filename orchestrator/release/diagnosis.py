"""Finds out why a version does not become ready: asks the engine and the server; `domain/health/` decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.diagnosis import HEALTH_PATHS, Facts, Protocol, diagnose
from orchestrator.domain.health.endings import Ending
from orchestrator.domain.health.endings import hint as ending_hint
from orchestrator.domain.health.log_causes import log_cause
from orchestrator.domain.health.probe import UNKNOWN_PATH, ProbeSpec, Reply, Target, judge
from orchestrator.domain.health.sockets import Listener, other_ports
from orchestrator.domain.health.tally import Tally
from orchestrator.domain.rollout.workload import Container, Runtime
from orchestrator.domain.version.build import Image
from orchestrator.errors import OperationFailed
from orchestrator.release.logs import masked_lines, read
from orchestrator.release.work import Work

# A question to the server itself, which may have other things to do. Seconds.
_ASK_TIMEOUT = 1.0
# Questions that found nothing are not asked again before this time is over. Seconds.
_ASK_AGAIN = 10.0
# The log is read again after this time. Seconds.
_READ_AGAIN = 1.0
# The kills are counted again after this time: the answer takes up to a second. Seconds.
_COUNT_AGAIN = 3.0
# At most this many other ports are asked.
_PORTS = 4
_LINES = (20, 40)


@dataclass
class Diagnosis:
    """Why the containers of a version are not ready. It is called from several threads, one for each container."""

    work: Work
    spec: ProbeSpec
    containers: Sequence[Container]
    _cases: dict[str, _Case] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._cases = {container.name: _Case(self.work, self.spec, container) for container in self.containers}

    def __call__(self, target: Target, tally: Tally) -> Cause | None:
        """The cause for one container that runs; asked about once a second."""
        case = self._cases[target.name]
        reply, asked = tally.reply or Reply(), tally.asked or self.spec.path
        if reply.status in UNKNOWN_PATH and asked != self.spec.paths[-1]:
            return case.cause  # the next path may answer
        case.cause = diagnose(case.facts(reply, asked))
        return case.cause

    def ended(self) -> Cause | None:
        """The cause for the first container that has ended; None while all run, or when nothing is known about it."""
        for case in self._cases.values():
            cause = case.ended()
            if cause is not None:
                return cause
        return None


@dataclass
class _Case:
    """One container, and the answers so far, which cost the engine or the server some work."""

    work: Work
    spec: ProbeSpec
    container: Container
    protocol: Protocol = ""
    answers_on: int | None = None
    answers_at: str = ""
    lines: tuple[str, ...] = ()
    asked: float | None = None
    was_read: float | None = None
    kills: int = 0
    counted: float | None = None
    image: Image | None = None
    cause: Cause | None = None

    def facts(self, reply: Reply, path: str) -> Facts:
        """What is known when `reply` came from `path`."""
        services = self.work.services
        listeners: tuple[Listener, ...] | None = None
        if reply.status is None:
            listeners = services.access.listening(self.container)
        self._ask(reply, listeners or ())
        self._read_log()
        self._count_kills()
        others = tuple(other for other in self.spec.paths if other != path)
        return Facts(
            spec=replace(self.spec, path=path, otherwise=others),
            runtime=self._runtime(),
            reply=reply,
            listeners=listeners,
            exposed=self._image().ports,
            protocol=self.protocol,
            answers_on=self.answers_on,
            answers_at=self.answers_at,
            kills=self.kills,
            lines=self.lines,
        )

    def ended(self) -> Cause | None:
        now = self.work.services.workloads.inspect(self.container.id)
        if now is None or (now.running and now.restarts == self.container.restarts):
            return None
        ending = Ending(now.exit_code, now.out_of_memory)
        try:
            self._read_log()
            logged = log_cause(self.lines, self._runtime())
        except OperationFailed:
            logged = None  # the message says that the log cannot be read
        hint = ending_hint(ending, self.work.config.run.memory)
        if logged is None or ending.out_of_memory:
            return Cause("", hint) if hint else None
        return logged

    def _runtime(self) -> Runtime:
        runtime = self.work.config.runtime(self.container.slot, self.container.index)
        return replace(runtime, user=runtime.user or self._image().user or None)

    def _image(self) -> Image:
        if self.image is None:
            image_id = self.container.image_id
            self.image = self.work.services.images.find(image_id) or Image(image_id)
        return self.image

    def _count_kills(self) -> None:
        services = self.work.services
        # Not Container.out_of_memory: engines up to 20.10 set it only when the container ends.
        if self._due(self.counted, _COUNT_AGAIN):
            self.counted = services.clock()
            now = services.workloads.inspect(self.container.id)
            self.kills = services.access.memory_kills(now, now.started_at) if now else 0

    def _read_log(self) -> None:
        services = self.work.services
        if self._due(self.was_read, _READ_AGAIN):
            self.was_read = services.clock()
            found = read(services, self.work.config, self.container, *_LINES)
            self.lines = masked_lines(services, self.work.app, found.lines)

    def _ask(self, reply: Reply, listeners: tuple[Listener, ...]) -> None:
        """Asks the server, when the reply suggests it and nothing was found yet."""
        services, address = self.work.services, self.container.address
        if self.protocol or self.answers_on or self.answers_at or not self._due(self.asked, _ASK_AGAIN):
            return
        if reply.status in UNKNOWN_PATH:
            self.asked = services.clock()
            others = [path for path in HEALTH_PATHS if path not in self.spec.paths]
            self.answers_at = next((path for path in others if self._well(path)), "")
        elif reply.refused and (ports := other_ports(listeners, self.spec.port)):
            # Not recorded as asked: ports open one after the other while a server starts.
            exposed = self._image().ports
            chosen = sorted(ports, key=lambda port: port not in exposed)[:_PORTS]
            self.answers_on = next((port for port in chosen if self._well(self.spec.path, port)), None)
        elif reply.error.startswith(("closed without", "not an HTTP answer")):
            self.asked = services.clock()
            self.protocol = services.prober.protocol(address, self.spec.port, _ASK_TIMEOUT)

    def _well(self, path: str, port: int | None = None) -> bool:
        spec = replace(self.spec.at(path), port=port or self.spec.port, timeout=_ASK_TIMEOUT)
        return judge(spec, self.work.services.prober.probe(self.container.address, spec)).ready

    def _due(self, last: float | None, pause: float) -> bool:
        return last is None or self.work.services.clock() - last >= pause
