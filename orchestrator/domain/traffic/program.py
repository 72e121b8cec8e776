"""The program of the edge: which one runs, what a replaced one still does, and what it refuses. Pure."""

from __future__ import annotations

from orchestrator.frozen import frozen
from orchestrator.text import counted


@frozen
class Program:
    """The program that runs at the edge, as people name it, such as `HAProxy 2.6.12-1+deb12u2`.

    `built_at` is when its image was built, in seconds since the epoch; None: not known.
    """

    name: str
    built_at: float | None = None


@frozen
class Leaving:
    """What a replaced program still has open: requests, streams and WebSockets, and its connections to clients.

    Idle connections count as well: each is closed after its next answer, or after the time that it may be idle.
    """

    requests: int
    connections: int

    def __str__(self) -> str:
        idle = max(0, self.connections - self.requests)
        parts = [(self.requests, "open request"), (idle, "idle connection")]
        return " and ".join(counted(count, what) for count, what in parts if count) or "nothing open"


@frozen
class Refusals:
    """What the edge refused at one address since its workers started, in numbers of requests and answers.

    `denied` are requests that a rule refused, `unreadable` those that could not be read at all (both by the address
    only: no app was chosen yet), and `answers` the responses from models that were refused.
    """

    listen: str
    denied: int = 0
    unreadable: int = 0
    answers: int = 0
