"""Why a notification was not delivered, in words without URLs."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence


def summary(verdicts: Sequence[str | None]) -> str | None:
    """One sentence about all URLs, identified by their numbers; None when each one accepted."""
    failed = [(number, why) for number, why in enumerate(verdicts, 1) if why is not None]
    if not failed:
        return None
    reasons = {why for _, why in failed}
    if len(failed) == len(verdicts) and len(reasons) == 1:
        return reasons.pop()
    listed = "; ".join(f"number {number}: {why}" for number, why in failed)
    return f"{len(failed)} of {len(verdicts)} URLs did not accept it ({listed})"


def refusal(error: Exception) -> str:
    """Why a request failed. The texts of exceptions may contain the URL, so only fixed words are used."""
    import httpx

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ProxyError):
        return "the HTTP proxy refused the request"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, socket.gaierror):
        return "the host name does not resolve"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "the certificate is not trusted"
    if isinstance(cause, ssl.SSLError):
        return "TLS failed"
    if isinstance(cause, OSError) and cause.strerror:
        return f"no connection: {cause.strerror}"
    if isinstance(error, httpx.TransportError):
        return f"the connection was closed ({type(error).__name__})"
    return f"the request failed ({type(error).__name__})"
