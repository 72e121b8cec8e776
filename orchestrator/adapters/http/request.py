"""One request of a probe: its socket, which another thread can shut down, and what its outcome means."""

from __future__ import annotations

import socket
import threading
from typing import Any

from orchestrator.domain.health.probe import ProbeSpec, Reply

MAX_BODY = 64 * 1024
# More of an answer is read, so that its server can send all of it, and forgotten.
MAX_READ = 1024 * 1024
# The time in which a server closes the connection after its answer, as it was asked to. Seconds.
CLOSING = 0.25
MAX_LOCATION = 500


class Connection:
    """The socket of one probe, from the trace of httpx, which another thread can shut down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        # The same connection once more: httpx closes its own.
        self._twin: socket.socket | None = None
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
                self._twin = self._socket.dup() if self._socket is not None else None
                if self._cut:
                    self._shut()
        elif event == "http11.receive_response_headers.complete":
            self.answered = True

    def kept_open(self, limit: float) -> bool:
        """Whether the server keeps the connection open after its answer, for `limit` seconds."""
        if self._twin is None:
            return False
        self._twin.settimeout(limit)
        try:
            return self._twin.recv(1) != b""
        except TimeoutError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Closes the second descriptor, after httpx has closed the first one."""
        if self._twin is not None:
            self._twin.close()

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


def url(address: str, spec: ProbeSpec) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{spec.port}/{spec.path.removeprefix('/')}"


def ask(address: str, host: str, timeout: float, line: Connection) -> Reply:
    """Sends one request. Limits the size of the answer; the caller limits the total time."""
    import httpx

    headers = {
        "User-Agent": "deployctl",
        "Accept": "*/*",
        "Accept-Encoding": "identity",  # a few compressed bytes may expand to gigabytes
        "Connection": "close",
        **({"Host": host} if host else {}),
    }
    body, size = bytearray(), 0
    try:
        with (
            # verify=False: no certificates are needed, and loading them takes 20 ms per probe.
            httpx.Client(
                transport=httpx.HTTPTransport(verify=False, trust_env=False),
                trust_env=False,
                follow_redirects=False,
                timeout=timeout,
            ) as client,
            client.stream("GET", address, headers=headers, extensions={"trace": line.trace}) as answer,
        ):
            for piece in answer.iter_raw():
                size += len(piece)
                body += piece[: MAX_BODY - len(body)]
                if size >= MAX_READ:
                    break
            location = answer.headers.get("Location", "")[:MAX_LOCATION]
        kept_open = size < MAX_READ and line.kept_open(min(CLOSING, timeout / 4))
        text = body.decode("utf-8", "replace")
        return Reply(status=answer.status_code, body=text, kept_open=kept_open, location=location)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return _failure(error, timeout, line)
    finally:
        line.close()


def _failure(error: Exception, timeout: float, line: Connection) -> Reply:
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
