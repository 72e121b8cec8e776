"""Replaces the running proxy by one of another image, without closing a connection.

The new proxy starts beside the old one and takes over its listening sockets (`haproxy -x`), so an address never has no
listener: for a moment both accept connections. When the new one has loaded the configuration and reaches what the old
one reaches, the frontends of the old one are shut down: it accepts nothing any more, and closes each connection after
its next answer. It is not asked to end (SIGUSR1) before its last connection is closed: HAProxy 2.6 that ends refuses
every change of a server, so a connection could not follow a switch. Meanwhile it keeps the listening sockets open, so a
new proxy that dies takes them over again when the engine restarts it.

Nothing is recorded. Which containers exist says how far a replacement has come, so each step may be the last one:

| containers | what it means | what `settle` does |
|---|---|---|
| proxy, next | the new one has not proved itself | the new one finishes what it has accepted, and is removed |
| previous, next | it has: the names are changing | the new one becomes the proxy, or the old one when it is lost |
| previous, proxy | replaced | the previous one accepts nothing any more; it is removed when nothing is open |
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from orchestrator.adapters.haproxy import rows, sockets
from orchestrator.adapters.haproxy.container import CURRENT, NEXT, PREVIOUS, ProxyContainer, last_alert
from orchestrator.adapters.haproxy.masters import Worker
from orchestrator.adapters.haproxy.rows import FRONTENDS, SERVERS
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.sockets import Sockets
from orchestrator.domain.traffic.program import Leaving
from orchestrator.errors import DeployctlError, ProxyError, UsageError
from orchestrator.ports.progress import Progress

# Time limits for the start of the new proxy, and for its checks of the models: one that is busy with a request answers
# none, until the old proxy notices that as well. Seconds.
_START_LIMIT = 15.0
_CHECK_LIMIT = 30.0
# Time limit for the end of a proxy in which nothing is open. Seconds.
_END_LIMIT = 3.0
_TICK = 0.05
_ENDED = ("exited", "dead", "created")
_ALIVE = ("running", "restarting", "paused")
_KEPT = "the old one keeps serving"


class Replacement:
    """Replaces a proxy and completes what a crash has left. Callers hold the proxy's lock."""

    def __init__(
        self,
        sockets: Sockets,
        runtime: Runtime,
        container: ProxyContainer,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sockets = sockets
        self._runtime = runtime
        self._container = container
        self._sleep = sleep
        self._clock = clock

    def begun(self) -> bool:
        """Whether there is anything for `settle` to do. Does not ask the engine."""
        return self._sockets.replacing()

    def refuse_second(self) -> None:
        """Refuses to replace a proxy while one that it has replaced still runs.

        Raises:
            UsageError: it does.
        """
        left = self.leaving()
        if left is not None:
            raise UsageError(
                f"the previous proxy still has {left}",
                why="one proxy is replaced at a time",
                hint=f"wait until it has ended, or end it now: docker stop {self._container.name(PREVIOUS)}",
            )

    def replace(self, image: str, digest: str, progress: Progress) -> None:
        """Replaces the proxy, which runs the configuration `digest`. When that fails, the old one keeps serving.

        Raises:
            ProxyError: the new one does not start, or cannot reach the containers that the old one reaches.
            UsageError: one that was replaced still runs.
            Whatever `progress.check` raises, which is called until the new one has proved itself.
        """
        self.refuse_second()
        self._sockets.begin()
        try:
            progress.detail("starting the new proxy beside the old one")
            self._container.create(image, NEXT)
            self._container.start(progress.detail, NEXT)
            self._await_start(digest, progress)
            self._await_checks(progress)
        except DeployctlError:
            progress.detail(f"the new proxy is removed: {_KEPT}")
            # What cannot be undone now is undone by the next command: the reason of the failure matters more.
            with suppress(DeployctlError):
                self.settle()
            raise
        self._container.keep_running(NEXT, keep=True)
        self._container.rename(CURRENT, PREVIOUS)
        self.settle()

    def settle(self) -> str:
        """Finishes or undoes a replacement, and removes a replaced proxy that has ended. May be repeated.

        Returns what was done about an interrupted one, in words; else an empty text.
        """
        current, following, previous = (self._container.state(role) for role in (CURRENT, NEXT, PREVIOUS))
        if previous == "paused":
            # First: commands to its workers would wait in vain.
            self._container.start(_ignore, PREVIOUS)
        done = ""
        if following != "missing":
            done = self._finish_or_undo(current, previous)
            previous = self._container.state(PREVIOUS)
        if previous == "missing":
            self._sockets.end()
        elif previous not in _ALIVE:
            self._remove_previous()
        elif self._runtime.answers():
            self._let_previous_finish()
        return done

    def leaving(self) -> Leaving | None:
        """What a replaced proxy still has open; None when there is none, or nothing is open in it."""
        if self._container.state(PREVIOUS) not in _ALIVE:
            return None
        requests, connections = 0, 0
        for worker in self._runtime.leaving():
            each = rows.leaving(self._runtime.tell(worker, rows.stat(FRONTENDS | SERVERS)))
            requests, connections = requests + each.requests, connections + each.connections
        return Leaving(requests, connections) if requests or connections else None

    # Inside

    def _await_start(self, digest: str, progress: Progress) -> None:
        end = self._clock() + _START_LIMIT
        while not (self._sockets.taken_over() and self._runtime.loaded() == digest):
            progress.check()
            ended = self._container.state(NEXT) in _ENDED
            if ended or self._clock() > end:
                log = "\n".join(self._container.logs(20, NEXT))
                how = "ended" if ended else f"did not start within {_START_LIMIT:g} s"
                raise ProxyError(
                    f"the new proxy {how}; {_KEPT}",
                    why=last_alert(log),
                    hint="deployctl doctor; once the cause is fixed, run 'deployctl proxy upgrade' again",
                    details=log,
                )
            self._sleep(_TICK)

    def _await_checks(self, progress: Progress) -> None:
        """Waits until the checks of the new proxy have found every server up that is up in the old one."""
        end = self._clock() + _CHECK_LIMIT
        reported = False
        while missing := self._missing():
            progress.check()
            if self._clock() > end:
                names = ", ".join(sorted(missing))
                raise ProxyError(
                    f"the new proxy cannot reach the containers that the old one reaches; {_KEPT}",
                    why=f"after {_CHECK_LIMIT:g} s it has no successful check of {names}",
                    hint="a model that is busy answers no checks: run 'deployctl proxy upgrade' again later",
                )
            if not reported:
                progress.detail("waiting for the new proxy's checks of the models")
                reported = True
            self._sleep(_TICK)

    def _missing(self) -> set[str]:
        now, *_ = workers = self._runtime.workers()
        # The first worker of the other master is its current one.
        before = next((worker for worker in workers if worker.socket != now.socket), None)
        return self._up(before) - self._up(now) if before is not None else set()

    def _up(self, worker: Worker) -> set[str]:
        return rows.up(self._runtime.tell(worker, rows.stat(SERVERS)))

    def _finish_or_undo(self, current: str, previous: str) -> str:
        following = self._container.state(NEXT) == "running" and self._sockets.taken_over() and self._runtime.answers()
        if following and (current == "missing" or (current != "running" and previous == "missing")):
            self._container.keep_running(NEXT, keep=True)
            if current != "missing":
                self._container.rename(CURRENT, PREVIOUS)
            self._container.rename(NEXT, CURRENT)
            return "the interrupted upgrade of the proxy was finished"
        self._sockets.give_back()
        if current == "missing" and previous != "missing":
            self._container.rename(PREVIOUS, CURRENT)
            self._container.keep_running(CURRENT, keep=True)
        self._dismiss()
        return "the interrupted upgrade of the proxy was undone"

    def _dismiss(self) -> None:
        """Removes the new proxy; if it serves clients, it finishes what it has accepted first."""
        serves = any(worker.socket == sockets.NEXT for worker in self._runtime.leaving())
        if serves and self._container.state(PREVIOUS) == "missing":
            self._container.rename(NEXT, PREVIOUS)
            return
        image = self._container.image(NEXT)
        self._container.remove(NEXT)
        if image is not None:
            self._container.forget(image.id)

    def _let_previous_finish(self) -> None:
        """Makes the replaced proxy accept nothing any more, and removes it when nothing is open."""
        self._sockets.leave()
        accepting = [
            (worker, name)
            for worker in self._runtime.leaving()
            for name, accepts in rows.frontends(self._runtime.tell(worker, rows.stat(FRONTENDS))).items()
            if accepts
        ]
        if accepting:
            self._retire()
        for worker, name in accepting:
            self._runtime.tell(worker, f"shutdown frontend {name}")
        if self.leaving() is not None:
            return
        self._retire()
        # Also when its socket is lost: then it ends by itself after its last connection.
        self._container.finish(PREVIOUS)
        if self._wait_for_end():
            self._remove_previous()

    def _retire(self) -> None:
        self._container.keep_running(PREVIOUS, keep=False)
        self._container.adopt()

    def _wait_for_end(self) -> bool:
        end = self._clock() + _END_LIMIT
        while self._container.state(PREVIOUS) in _ALIVE:
            if self._clock() > end:
                return False
            self._sleep(_TICK)
        return True

    def _remove_previous(self) -> None:
        image = self._container.image(PREVIOUS)
        self._container.remove(PREVIOUS)
        used = self._container.image(CURRENT)
        if image is not None and (used is None or used.id != image.id):
            self._container.forget(image.id)
        self._sockets.end()


def _ignore(text: str) -> None:
    """Ignores what is reported of a container that exists."""
