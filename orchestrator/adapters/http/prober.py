"""Probes over HTTP whether models are ready, within strict time limits.

httpx limits single reads, so a server that sends a byte at a time would block a probe without end. Therefore each probe
runs in its own thread: the caller waits for it until the limit, then shuts down the socket of the probe, which ends the
thread. Probes share nothing: no connection (a kept one would prove nothing about the next client), no cookies and no
client.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.adapters.http import request
from orchestrator.adapters.http.protocol import protocol
from orchestrator.domain.health import tally as verdict
from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.diagnosis import Protocol
from orchestrator.domain.health.probe import ProbeSpec, Ready, Reply, Target
from orchestrator.domain.health.tally import Tally
from orchestrator.errors import DeployctlError, ProbeFailed
from orchestrator.loading import load_httpx
from orchestrator.ports.prober import unknown
from orchestrator.ports.progress import Progress

if TYPE_CHECKING:  # importing httpx and tenacity takes 100 ms, which other commands save
    from tenacity import RetryCallState

ALIVE_INTERVAL = 0.25
DIAGNOSE_INTERVAL = 1.0
REPORT_INTERVAL = 1.0
TICK = 0.05
# The time limit of a probe that starts just before the deadline. Seconds.
LAST_PROBE = 0.25

Alive = Callable[[Target], str | None]
Diagnose = Callable[[Target, Tally], Cause | None]


class HttpProber:
    """Probes one address, or waits until several targets are ready."""

    def __init__(
        self, *, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._clock = clock

    def close(self) -> None:
        """Does nothing: no connection stays open between probes."""

    def probe(self, address: str, spec: ProbeSpec) -> Reply:
        """One probe. It takes at most `spec.timeout` seconds; every outcome is a Reply."""
        load_httpx()  # before the clock starts: the first import must not reduce the time of the probe

        line = request.Connection()
        started = self._clock()
        result: Future[Reply] = Future()
        threading.Thread(
            target=_set_result,
            args=(result, lambda: request.ask(request.url(address, spec), spec.host, spec.timeout, line)),
            name=f"probe {address}",
            daemon=True,  # a name resolution cannot be interrupted, and must not delay the exit
        ).start()
        try:
            reply = result.result(timeout=spec.timeout)
        except TimeoutError:
            line.cut()
            reply = Reply(error=line.timed_out(spec.timeout))
        return replace(reply, seconds=self._clock() - started)

    def protocol(self, address: str, port: int, timeout: float) -> Protocol:
        """What a server that gives no HTTP answer speaks."""
        return protocol(address, port, timeout)

    def wait_ready(
        self,
        targets: Sequence[Target],
        spec: ProbeSpec,
        *,
        alive: Alive,
        progress: Progress,
        diagnose: Diagnose = unknown,
    ) -> Ready:
        """Returns when every target gave `spec.successes` good answers in a row: where, and how it ended connections.

        `alive` and the probes run in one thread per target, `diagnose` in another, `progress` in the thread of the
        caller. The deadline is checked there, too, so neither a server nor an engine that hangs can delay it.

        Raises:
            ProbeFailed: a target did not become ready by `spec.deadline`, or cannot become ready any more.
        """
        import tenacity  # noqa: F401  as above: imported once, before the threads start

        started = self._clock()
        stop = threading.Event()
        done: queue.SimpleQueue[_Watch] = queue.SimpleQueue()
        watches = [_Watch(self, target, Tally(spec), started, alive, diagnose, stop) for target in targets]
        try:
            for watch in watches:
                name = f"wait for {watch.target.name}"
                threading.Thread(target=watch.run, args=(done,), name=name, daemon=True).start()
                if diagnose is not unknown:
                    threading.Thread(target=watch.diagnosing, name=f"diagnose {watch.target.name}", daemon=True).start()
            self._await(watches, done, started, progress)
        finally:
            stop.set()
        path = watches[0].tally.request.path if watches else spec.path
        return Ready(path, closing=not any(watch.tally.kept_open for watch in watches))

    def _await(
        self,
        watches: Sequence[_Watch],
        done: queue.SimpleQueue[_Watch],
        started: float,
        progress: Progress,
    ) -> None:
        waiting = list(watches)
        reported = started
        while waiting:
            progress.check()
            try:
                watch = done.get(timeout=TICK)
            except queue.Empty:
                now = self._clock()
                if now - started > waiting[0].tally.spec.deadline + 2 * LAST_PROBE:
                    raise waiting[0].too_late() from None
                if now - reported >= REPORT_INTERVAL:
                    reported = now
                    progress.update("; ".join(each.progress_line(now - started) for each in waiting))
                continue
            watch.check()
            waiting.remove(watch)


@dataclass(eq=False)
class _Watch:
    """Probes one target in its own thread, until it is ready, hopeless, gone or late."""

    prober: HttpProber
    target: Target
    tally: Tally
    started: float
    alive: Alive
    diagnose: Diagnose
    stop: threading.Event
    error: BaseException | None = None
    cause: Cause | None = None
    certain: bool = False  # `cause` has stayed the same for its patience
    asked: float = 0.0  # long ago, so that the container is checked after the first failed probe

    def run(self, done: queue.SimpleQueue[_Watch]) -> None:
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda settled: not settled),
            # Not stop_after_delay of tenacity, which does not use the injected clock.
            stop=lambda _: self.stop.is_set() or self._left() <= 0,
            wait=self._pause,
            sleep=self._nap,
            retry_error_callback=lambda _: False,  # out of time: `tally` has the progress
        )
        try:
            retrying(self._attempt)
            # At the end check the container: it may have restarted between two good answers, and an ended container is
            # a better reason than a late probe.
            self._look()
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
            self.error = error
        done.put(self)

    def check(self) -> None:
        """Raises ProbeFailed, or the error of the thread, unless the target is ready."""
        if self.error is not None:
            raise self.error
        if self.tally.hopeless:
            raise verdict.hopeless(self.target.name, self.tally)
        if self.tally.ready:
            return
        if self.certain and self.cause is not None:
            raise verdict.caused(self.target.name, self.tally, self.cause)
        raise self.too_late()

    def too_late(self) -> ProbeFailed:
        return verdict.too_late(self.target.name, self.tally, self.cause)

    def progress_line(self, elapsed: float) -> str:
        return verdict.progress_line(self.target.name, self.tally, elapsed, self.cause)

    def diagnosing(self) -> None:
        """Looks for the cause until the wait ends; runs in its own thread, because it may take longer than a probe."""
        clock, since = self.prober._clock, 0.0
        while not self.stop.wait(DIAGNOSE_INTERVAL) and not self.tally.settled:
            if not self.tally.probes or self.tally.streak:
                self.cause = None
                continue
            try:
                found = self.diagnose(self.target, self.tally)
            except DeployctlError:
                continue  # `alive` reports an engine that does not answer
            if found is None or self.cause is None or found.hint != self.cause.hint:
                since = clock()
            self.cause = found
            if found is not None and found.patience is not None and clock() - since >= found.patience:
                self.certain = True
                return

    def _attempt(self) -> bool:
        if self.stop.is_set() or self.certain:  # the wait ended during the nap
            return True
        request = self.tally.request
        limit = min(request.timeout, max(self._left(), LAST_PROBE))
        reply = self.prober.probe(self.target.address, replace(request, timeout=limit))
        # A probe that the deadline has cut short says less than the one before it.
        if limit == request.timeout or reply.status is not None or reply.refused or not self.tally.probes:
            self.tally = self.tally.after(reply)
        if reply.error and not reply.refused:
            self._look()  # timeouts and closed connections are typical of an ending container
        return self.tally.settled

    def _left(self) -> float:
        return self.started + self.tally.spec.deadline - self.prober._clock()

    def _pause(self, _: RetryCallState) -> float:
        return max(0.0, min(self.tally.pause, self._left()))

    def _nap(self, seconds: float) -> None:
        """Sleeps in small pieces, to notice the end of the wait, or of the container, during a long one."""
        while seconds > 0 and not self.stop.is_set() and not self.certain:
            piece = min(TICK, seconds)
            self.prober._sleep(piece)
            seconds -= piece
            if self.prober._clock() - self.asked >= ALIVE_INTERVAL:
                self._look()

    def _look(self) -> None:
        if self.stop.is_set():
            return
        self.asked = self.prober._clock()
        sentence = self.alive(self.target)
        if sentence:
            raise verdict.gone(self.target.name, sentence, self.tally)


def _set_result(result: Future[Reply], ask: Callable[[], Reply]) -> None:
    try:
        result.set_result(ask())
    except BaseException as error:  # noqa: BLE001  an internal error: raised again in the thread of the caller
        result.set_exception(error)
