"""Excerpts of logs, without the lines about probes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.health.log_lines import Excerpt, asks, excerpt

OURS = asks({"/healthz", "/"})


@pytest.mark.parametrize(
    "line",
    [
        '10.0.0.1 - - [27/Nov/2026 08:51:26] "GET /healthz HTTP/1.1" 404 -',
        '10.0.0.1 - - [27/Nov/2026 08:51:26] "HEAD /healthz HTTP/1.0" 200 -',
        'INFO:     10.0.0.1:51234 - "GET /healthz HTTP/1.1" 404 Not Found',
        'INFO:     10.0.0.1:51234 - "GET /healthz?full=1 HTTP/1.1" 404 Not Found',
        '[GIN] 2026/11/27 - 08:51:26 | 404 |     1.2µs |     10.0.0.1 | GET      "/healthz"',
        "GET /healthz 503 1.234 ms - 12",
        '10.0.0.1 - - [27/Nov/2026:08:51:26 +0000] "GET / HTTP/1.1" 200 2 "-" "deployctl"',
    ],
)
def test_lines_about_probes(line: str) -> None:
    assert OURS(line)


@pytest.mark.parametrize(
    "line",
    [
        "ERROR in app: Exception on /healthz [GET]",
        '10.0.0.1 - - [27/Nov/2026 08:51:26] "GET /weights HTTP/1.1" 404 -',
        '10.0.0.1 - - [27/Nov/2026 08:51:26] "POST /healthz HTTP/1.1" 404 -',
        "the weights are loaded from /healthz",
        "requests.exceptions.HTTPError: GET /weights failed",
        "",
    ],
)
def test_lines_about_other_things(line: str) -> None:
    assert not OURS(line)


def test_what_python_s_server_writes_before_a_failed_request_goes_with_it() -> None:
    lines = [
        "starting",
        "10.0.0.1 - - [x] code 404, message Not Found",
        '10.0.0.1 - - [x] "GET /healthz HTTP/1.1" 404 -',
        "10.0.0.1 - - [x] code 404, message Not Found",
        '10.0.0.1 - - [x] "GET /weights HTTP/1.1" 404 -',
        "10.0.0.1 - - [x] code 400, message Bad request",
    ]
    assert excerpt(lines, first=10, last=10, ours=OURS).lines == (lines[0], *lines[3:])


def test_the_first_and_the_last_lines() -> None:
    lines = [str(number) for number in range(100)]
    assert excerpt(lines, first=2, last=3, ours=OURS) == Excerpt(("0", "1"), 95, ("97", "98", "99"))
    assert excerpt(lines[:5], first=2, last=3, ours=OURS) == Excerpt(("0", "1"), 0, ("2", "3", "4"))
    assert excerpt([], first=2, last=3, ours=OURS) == Excerpt((), 0, ())


@given(st.lists(st.text(max_size=3), max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_no_line_is_lost_uncounted(lines: list[str], first: int, last: int) -> None:
    found = excerpt(lines, first=first, last=last, ours=lambda line: False)
    assert len(found.lines) + found.left_out == len(lines)
    assert found.first == tuple(lines[:first])
    assert list(found.last) == lines[first:][len(lines[first:]) - len(found.last) :]
