"""The exact text of the proxy's own checks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.adapters.haproxy import checks
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.route import SlotEndpoints

PROBE = ProbeSpec("/healthz", 8080, host="models.example.com")
SLOT = SlotEndpoints("v1", ("10.213.0.64",), PROBE)


def test_the_whole_answer_is_read_whether_it_has_a_body_or_not() -> None:
    assert checks.check(SLOT) == [
        "timeout check 2000ms",
        "option tcp-check",
        "tcp-check connect linger",
        'tcp-check send "GET /healthz HTTP/1.1\\r\\nHost: models.example.com\\r\\nUser-Agent: deployctl\\r\\n'
        'Connection: close\\r\\n\\r\\n"',
        "tcp-check expect rstring '^HTTP/1[.][01] 2[0-9][0-9]'",
        "tcp-check expect ! rstring x^",
    ]


def test_a_server_that_keeps_the_connection_open_is_not_waited_for() -> None:
    assert checks.check(replace(SLOT, closing=False)) == [
        "timeout check 2000ms",
        "option httpchk",
        "http-check connect linger",
        "http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host models.example.com hdr User-Agent deployctl"
        " hdr Connection close",
        "http-check expect status 200-299",
    ]


@pytest.mark.parametrize("closing", [True, False])
def test_a_body_that_must_match_is_read_to_its_end(closing: bool) -> None:
    lines = checks.check(replace(SLOT, probe=replace(PROBE, body='"ok"', statuses=(200, 200)), closing=closing))
    assert lines[-3:] == [
        "http-check expect rstring '\"ok\"'",
        "http-check expect status 200-200",
        "http-check expect ! rstring x^",
    ]


@pytest.mark.parametrize(
    ("statuses", "pattern"), [((200, 299), "2[0-9][0-9]"), ((200, 200), "(200)"), ((200, 203), "(200|201|202|203)")]
)
def test_the_statuses_that_mean_ready(statuses: tuple[int, int], pattern: str) -> None:
    lines = checks.check(replace(SLOT, probe=replace(PROBE, statuses=statuses)))
    assert f"tcp-check expect rstring '^HTTP/1[.][01] {pattern}'" in lines


@pytest.mark.parametrize(
    ("interval", "up", "down"), [(0.05, 1000, 50), (0.5, 1000, 500), (1.0, 2000, 1000), (10.0, 20000, 10000)]
)
def test_a_server_that_is_up_leaves_half_of_the_questions_to_the_probes(interval: float, up: int, down: int) -> None:
    assert checks.pauses(replace(PROBE, interval=interval)) == (f"inter {up}ms fastinter {down}ms downinter {down}ms")


@pytest.mark.parametrize("text", ["/a b", '/"', "/%[x]", "/a\r\n", "/$HOME", "/{x}"])
def test_nothing_else_reaches_the_configuration(text: str) -> None:
    for probe in (replace(PROBE, path=text), replace(PROBE, host=text), replace(PROBE, path=text, body="ok")):
        with pytest.raises(ValueError, match="must not reach"):
            checks.check(replace(SLOT, probe=probe))
    with pytest.raises(ValueError, match="must not reach"):
        checks.check(replace(SLOT, probe=replace(PROBE, body="a'b")))
