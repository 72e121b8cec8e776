"""Readiness probes: the request, the reply, and what a reply means. Pure."""

from __future__ import annotations

import re

from orchestrator.frozen import frozen


@frozen
class ProbeSpec:
    """How to probe whether a model is ready. Times in seconds.

    `body` is a regular expression that the body of a reply must match (None: the status decides). A body that matches
    `failed_body` means that the model will never become ready: the wait ends at once. `statuses` are the first and
    the last status that mean ready. `host` is the Host header; when it is empty, the address is sent.
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


@frozen
class Target:
    """One container to probe: its name, for messages, and its address."""

    name: str
    address: str


@frozen
class Reply:
    """The outcome of one probe: the HTTP status and the beginning of the body, or `error` in words.

    `refused`: the connection was refused. `kept_open`: the server did not close the connection after its answer,
    although it was asked to. `seconds` is how long the probe took. `location` is where a redirect leads.
    """

    status: int | None = None
    body: str = ""
    error: str = ""
    refused: bool = False
    kept_open: bool = False
    seconds: float = 0.0
    location: str = ""

    def __str__(self) -> str:
        if self.error:
            return self.error
        text = " ".join(self.body.split())
        return f"HTTP {self.status}" + (f" {text[:120]!r}" if text else "")


@frozen
class Judgement:
    """Whether a model is `ready`, and the reason in words; `hopeless`: it will not become ready."""

    ready: bool
    reason: str = ""
    hopeless: bool = False


def judge(spec: ProbeSpec, reply: Reply) -> Judgement:
    """Decides what one reply means for `spec`."""
    if reply.status is None:
        return Judgement(False, reply.error or "no answer")
    if spec.failed_body and re.search(spec.failed_body, reply.body):
        return Judgement(False, f"{reply}: the server says that its setup failed", hopeless=True)
    if 300 <= reply.status <= 399:
        to = f" to {reply.location}" if reply.location else ""
        return Judgement(False, f"HTTP {reply.status}: a redirect{to} is not an answer from the model")
    low, high = spec.statuses
    if not low <= reply.status <= high:
        return Judgement(False, str(reply))
    if spec.body and not re.search(spec.body, reply.body):
        return Judgement(False, f"{reply}: the body does not say that the model is ready")
    return Judgement(True, str(reply))
