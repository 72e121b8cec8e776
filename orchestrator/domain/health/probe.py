"""Readiness probes: the request, the reply, and what a reply means. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from orchestrator.frozen import frozen


@frozen
class ProbeSpec:
    """How to probe whether a model is ready. Times in seconds.

    `body` is a regular expression that the body of a reply must match (None: the status decides). A body that matches
    `failed_body` means that the model will never become ready: the wait ends at once. `statuses` are the first and
    the last status that mean ready. `host` is the Host header; when it is empty, the address is sent.

    `otherwise` are paths that some servers have instead of `path`: a version is asked at one path after the other until
    it is ready, and from then on at the path where it was.
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
    otherwise: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path at which a version may answer, in the order in which they are asked."""
        return (self.path, *self.otherwise)

    def at(self, path: str) -> ProbeSpec:
        """The same probe at one path only."""
        return replace(self, path=path, otherwise=())


# What servers answer at a path that they do not have.
UNKNOWN_PATH = (404, 410)


@frozen
class Ready:
    """How containers became ready. `path` is where they answered; `closing`: all closed the connection as asked."""

    path: str
    closing: bool


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
