"""What a probe asks, and what its answers add up to. Pure: no socket, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ProbeSpec:
    """How to ask a model whether it is ready. Times in seconds.

    `body` is a regular expression that the answer's body must match as well (None: the status decides).
    `failed_body` marks an answer that will never become ready: the wait ends at once.
    `statuses` are the first and last status that count as ready. `host` is the name that is asked for, empty for the
    address itself.
    """

    path: str
    port: int
    interval: float = 0.5
    timeout: float = 2.0
    successes: int = 2
    deadline: float = 300.0
    body: str | None = None
    failed_body: str | None = None
    host: str = ""
    statuses: tuple[int, int] = (200, 299)


@dataclass(frozen=True)
class Target:
    """One container to ask: its name, for messages, and the address where it answers."""

    name: str
    address: str


@dataclass(frozen=True)
class Reply:
    """The outcome of one probe: an HTTP status and the body's beginning, or `error` in words."""

    status: int | None = None
    body: str = ""
    error: str = ""
    refused: bool = False
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.error:
            return self.error
        text = " ".join(self.body.split())
        return f"HTTP {self.status}" + (f" {text[:120]!r}" if text else "")


@dataclass(frozen=True)
class Judgement:
    """`ready`, not yet ready, or `hopeless` (waiting longer cannot help), and the reason in words."""

    ready: bool
    reason: str = ""
    hopeless: bool = False


def judge(spec: ProbeSpec, reply: Reply) -> Judgement:
    """Says what one reply means under `spec`."""
    if reply.status is None:
        return Judgement(False, reply.error or "no answer")
    if spec.failed_body and re.search(spec.failed_body, reply.body):
        return Judgement(False, f"{reply}: the server says that its setup failed", hopeless=True)
    if 300 <= reply.status <= 399:
        return Judgement(False, f"HTTP {reply.status}: a redirect is not an answer from the model")
    low, high = spec.statuses
    if not low <= reply.status <= high:
        return Judgement(False, str(reply))
    if spec.body and not re.search(spec.body, reply.body):
        return Judgement(False, f"{reply}: the body does not say that the model is ready")
    return Judgement(True, str(reply))
