"""The lines of a container's log that are worth reading after a failure. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable

from orchestrator.frozen import frozen

# The request line in the access logs of common servers: "GET /healthz HTTP/1.1" (most), GET "/healthz" (Gin),
# "GET /healthz" (without the protocol), and GET /healthz 503 (Express).
# Text, which the first search compiles: few commands read a log.
_REQUEST = (
    r"\b(?:GET|HEAD)\b[\s\"]+(?P<path>/[^\s\"?]*)(?:\?[^\s\"]*)?(?:\s+HTTP/[0-9.]+)?\"|GET (?P<bare>/\S*) \d{3}\b"
)
# What Python's http.server writes before the line of a request that fails.
_HTTP_SERVER = r"\] code \d{3}, message "


@frozen
class Excerpt:
    """The first and the last lines of a log; `left_out` lines are between them."""

    first: tuple[str, ...]
    left_out: int
    last: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        return self.first + self.last


def asks(paths: Collection[str]) -> Callable[[str], bool]:
    """A function that tells whether a line records a GET or HEAD request for one of `paths`.

    Until a version is live, only probes and health checks send requests to it.
    """

    def ours(line: str) -> bool:
        match = re.search(_REQUEST, line)
        return match is not None and (match["path"] or match["bare"]) in paths

    return ours


def excerpt(lines: Iterable[str], *, first: int, last: int, ours: Callable[[str], bool]) -> Excerpt:
    """The first and the last lines without those that `ours` names. Keeps no more lines in memory than it returns."""
    head: list[str] = []
    tail: deque[str] = deque(maxlen=last)
    count = 0
    held: str | None = None  # a line that belongs to the next one

    def keep(line: str) -> None:
        nonlocal count
        count += 1
        if len(head) < first:
            head.append(line)
        else:
            tail.append(line)

    for line in lines:
        if ours(line):
            held = None
            continue
        if held is not None:
            keep(held)
        held = line if re.search(_HTTP_SERVER, line) else None
        if held is None:
            keep(line)
    if held is not None:
        keep(held)
    return Excerpt(tuple(head), count - len(head) - len(tail), tuple(tail))
