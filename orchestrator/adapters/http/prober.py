"""Probes over HTTP whether models are ready, within strict time limits.

httpx limits single reads, so a server that sends a byte at a time would block a probe without end. Therefore each probe
runs in its own thread: the caller waits for it until the limit, then shuts down the socket of the probe, which ends the
thread. Probes share nothing: no connection (a kept one would prove nothing about the next client), no cookies and no
client.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.domain.health import tally as verdict
from orchestrator.domain.health.probe import ProbeSpec, Reply, Target
from orchestrator.domain.health.tally import Tally
from orchestrator.loading import load_httpx
from orchestrator.ports.progress import Progress

if TYPE_CHECKING:  # importing httpx and tenacity takes 100 ms, which other commands save
    from tenacity import RetryCallState

MAX_BODY = 64 * 1024
ALIVE_INTERVAL = 0.25
REPORT_INTERVAL = 1.0
TICK = 0.05
# The time limit of a probe that starts just before the deadline. Seconds.
LAST_PROBE = 0.25

Alive = Callable[[Target], str | None]


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

        line = _Connection()
        started = self._clock()
        result: Future[Reply] = Future()
        threading.Thread(
            target=_set_result,
            args=(result, lambda: _ask(_url(address, spec), spec.host, spec.timeout, line)),
            name=f"probe {address}",
            daemon=True,  # a name resolution cannot be interrupted, and must not delay the exit
        ).start()
        try:
            reply = result.result(timeout=spec.timeout)
        except TimeoutError:
            line.cut()
            reply = Reply(error=line.timed_out(spec.timeout))
        return replace(reply, seconds=self._clock() - started)

    def wait_ready(
        self,
        targets: Sequence[Target],
        spec: ProbeSpec,
        *,
        alive: Alive,
        progress: Progress,
    ) -> None:
        """Returns when every target gave `spec.successes` good answers in a row.

        `alive` and the probes run in one thread per target, `progress` in the thread of the caller. The deadline is
        checked there, too, so neither a server nor an engine that hangs can delay it.

        Raises:
            ProbeFailed: a target did not become ready by `spec.deadline`, or cannot become ready any more.
        """
        import tenacity  # noqa: F401  as above: imported once, before the threads start

        started = self._clock()
        stop = threading.Event()
        done: queue.SimpleQueue[_Watch] = queue.SimpleQueue()
        watches = [_Watch(self, target, Tally(spec), started, alive, stop) for target in targets]
        try:
            for watch in watches:
                name = f"wait for {watch.target.name}"
                threading.Thread(target=watch.run, args=(done,), name=name, daemon=True).start()
            self._await(watches, done, started, progress)
        finally:
            stop.set()

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
                    raise verdict.too_late(waiting[0].target.name, waiting[0].tally) from None
                if now - reported >= REPORT_INTERVAL:
                    reported = now
                    lines = [verdict.progress_line(each.target.name, each.tally, now - started) for each in waiting]
                    progress.detail("; ".join(lines))
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
    stop: threading.Event
    error: BaseException | None = None
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
        if not self.tally.ready:
            raise verdict.too_late(self.target.name, self.tally)

    def _attempt(self) -> bool:
        if self.stop.is_set():  # the wait ended during the nap
            return True
        spec = self.tally.spec
        limit = min(spec.timeout, max(self._left(), LAST_PROBE))
        reply = self.prober.probe(self.target.address, replace(spec, timeout=limit))
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
        while seconds > 0 and not self.stop.is_set():
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


class _Connection:
    """The socket of one probe, from the trace of httpx, which another thread can shut down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False
        self.answered = False

    def timed_out(self, limit: float) -> str:
        """What was missing at the time limit, for a message."""
        what = "the answer did not end" if self.answered else "no answer" if self._socket else "no connection"
        return f"{what} within {round(limit, 2):g} s"

    def trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self._cut:
                    self._shut()
        elif event == "http11.receive_response_headers.complete":
            self.answered = True

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # already closed, by the server or by the end of the probe


def _set_result(result: Future[Reply], ask: Callable[[], Reply]) -> None:
    try:
        result.set_result(ask())
    except BaseException as error:  # noqa: BLE001  an internal error: raised again in the thread of the caller
        result.set_exception(error)


def _url(address: str, spec: ProbeSpec) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{spec.port}/{spec.path.removeprefix('/')}"


def _ask(url: str, host: str, timeout: float, line: _Connection) -> Reply:
    """Sends one request. Limits the size of the answer; the caller limits the total time."""
    import httpx

    headers = {
        "User-Agent": "deployctl",
        "Accept": "*/*",
        "Accept-Encoding": "identity",  # a few compressed bytes may expand to gigabytes
        "Connection": "close",
        **({"Host": host} if host else {}),
    }
    body = bytearray()
    try:
        with (
            # verify=False: no certificates are needed, and loading them takes 20 ms per probe.
            httpx.Client(
                transport=httpx.HTTPTransport(verify=False, trust_env=False),
                trust_env=False,
                follow_redirects=False,
                timeout=timeout,
            ) as client,
            client.stream("GET", url, headers=headers, extensions={"trace": line.trace}) as answer,
        ):
            for piece in answer.iter_raw():
                body += piece[: MAX_BODY - len(body)]
                if len(body) >= MAX_BODY:
                    break
            return Reply(status=answer.status_code, body=body.decode("utf-8", "replace"))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return _failure(error, timeout, line)


def _failure(error: Exception, timeout: float, line: _Connection) -> Reply:
    """The reply for an exception. httpx wraps the error of the socket, which has the reason."""
    import httpx

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ConnectionRefusedError):
        return Reply(error="connection refused", refused=True)
    if isinstance(cause, socket.gaierror):
        return Reply(error=f"the address does not resolve: {cause.strerror}")
    if isinstance(error, httpx.TimeoutException):
        return Reply(error=line.timed_out(timeout))
    if isinstance(error, httpx.ConnectError):
        return Reply(error=f"no connection: {getattr(cause, 'strerror', None) or error}")
    if line.answered:
        return Reply(error=f"the answer broke off: {error}")
    if isinstance(cause, OSError) or "disconnected" in str(error):
        return Reply(error="closed without an answer")
    return Reply(error=f"not an HTTP answer: {error}")
