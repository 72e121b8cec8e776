"""The proxy's own health check of a replica, as lines of HAProxy's configuration. Pure.

A check sends what the probes of deployctl send, and reads the whole answer before it closes the connection: a server
whose answer is cut off logs an error each time.
"""

from __future__ import annotations

import re

from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.route import SlotEndpoints

# Matches no text. HAProxy knows that an answer does not contain it only when it has read all of it.
_NEVER = "x^"
_TARGET = re.compile(r"[A-Za-z0-9._~/%?=&:@+,;\[\]-]+")
_EXPECTATION = re.compile(r"[A-Za-z0-9_ :\\s*\"|()\[\].,-]+")
# The longest time that HAProxy accepts, in milliseconds: 24 days and 20 hours.
_LONGEST = 2**31 - 1
# The shortest pause of the proxy between two checks of a server that is up. Seconds.
_CALM = 1.0


def check(endpoints: SlotEndpoints) -> list[str]:
    """How a backend checks its servers."""
    probe = endpoints.probe
    lines = _to_the_end(probe) if endpoints.closing and not probe.body else _as_http(probe)
    return [f"timeout check {milliseconds(probe.timeout)}", *lines]


def pauses(probe: ProbeSpec) -> str:
    """How often a server is checked.

    One that is up is checked at most every second interval, because the looks of a bake probe it as well. One that is
    down is checked every interval: while a version starts, only the probes ask it.
    """
    pause = milliseconds(probe.interval)
    return f"inter {milliseconds(max(2 * probe.interval, _CALM))} fastinter {pause} downinter {pause}"


def milliseconds(seconds: float) -> str:
    """A time as HAProxy reads it."""
    return f"{min(max(1, round(seconds * 1000)), _LONGEST)}ms"


def _to_the_end(probe: ProbeSpec) -> list[str]:
    """Reads until the server closes the connection. Not httpchk, which cannot wait for the end of an empty body."""
    head = [f"GET {_target(probe.path)} HTTP/1.1", f"Host: {_target(probe.host)}"]
    request = "".join(f"{line}\\r\\n" for line in [*head, "User-Agent: deployctl", "Connection: close", ""])
    return [
        "option tcp-check",
        "tcp-check connect linger",
        f'tcp-check send "{request}"',
        f"tcp-check expect rstring '^HTTP/1[.][01] {_statuses(*probe.statuses)}'",
        f"tcp-check expect ! rstring {_NEVER}",
    ]


def _as_http(probe: ProbeSpec) -> list[str]:
    lines = [
        "option httpchk",
        "http-check connect linger",
        f"http-check send meth GET uri {_target(probe.path)} ver HTTP/1.1 hdr Host {_target(probe.host)}"
        " hdr User-Agent deployctl hdr Connection close",
    ]
    status = f"http-check expect status {probe.statuses[0]}-{probe.statuses[1]}"
    if not probe.body:
        return [*lines, status]
    # The body first: when it does not match, HAProxy reads the answer to its end.
    return [*lines, f"http-check expect rstring {_quoted(probe.body)}", status, f"http-check expect ! rstring {_NEVER}"]


def _statuses(first: int, last: int) -> str:
    """A regular expression for the statuses from `first` to `last`."""
    if first % 100 == 0 and last == first + 99:
        return f"{first // 100}[0-9][0-9]"
    return f"({'|'.join(str(status) for status in range(first, last + 1))})"


def _target(text: str) -> str:
    text = text or "localhost"
    if not _TARGET.fullmatch(text) or "%[" in text:
        raise ValueError(f"{text!r} must not reach the proxy's configuration")
    return text


def _quoted(pattern: str) -> str:
    if not _EXPECTATION.fullmatch(pattern):
        raise ValueError(f"{pattern!r} must not reach the proxy's configuration")
    return "'" + pattern + "'"
