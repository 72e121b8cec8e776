"""Why a version that runs is not ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.diagnosis import Facts, diagnose
from orchestrator.domain.health.probe import ProbeSpec, Reply
from orchestrator.domain.health.sockets import Listener
from orchestrator.domain.rollout.workload import Runtime

SPEC = ProbeSpec("/healthz", 8080)
REFUSED = Reply(error="connection refused", refused=True)


def case(reply: Reply, **more: Any) -> Cause | None:
    return diagnose(Facts(**{"spec": SPEC, "runtime": Runtime(), "reply": reply, **more}))


def found(reply: Reply, **more: Any) -> Cause:
    cause = case(reply, **more)
    assert cause is not None
    return cause


# --- where it listens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1", "::1"])
def test_the_loopback_is_certain(address: str) -> None:
    cause = found(REFUSED, listeners=(Listener(address, 8080),))
    assert f"it listens on {Listener(address, 8080)} only" in cause.why
    assert "0.0.0.0:8080" in cause.hint
    assert cause.patience is not None


def test_ipv6_alone_is_certain() -> None:
    cause = found(REFUSED, listeners=(Listener("::", 8080),))
    assert "it listens on [::]:8080 only" in cause.why
    assert cause.patience is not None


def test_a_server_that_has_just_begun_to_listen_needs_nothing() -> None:
    assert case(REFUSED, listeners=(Listener("0.0.0.0", 8080),)) is None
    assert case(REFUSED, listeners=(Listener("127.0.0.1", 8080), Listener("0.0.0.0", 8080))) is None


def test_no_socket_means_that_it_is_still_starting() -> None:
    assert case(REFUSED, listeners=()) is None
    assert case(REFUSED, listeners=(), exposed=(5000,)) is None


def test_another_port_is_named_and_certain_only_when_it_answers() -> None:
    here = (Listener("0.0.0.0", 5000),)
    cause = found(REFUSED, listeners=here)
    assert cause.why == "it listens on port 5000, not on port 8080"
    assert "app.port = 5000" in cause.hint
    assert cause.patience is None, "a port for metrics is often open before the model is loaded"
    cause = found(REFUSED, listeners=here, answers_on=5000)
    assert cause.why.endswith("port 5000 answers the probes")
    assert cause.patience is not None
    assert found(REFUSED, listeners=here, answers_on=5000, exposed=(8080,)).patience is None


def test_of_several_ports_the_one_that_the_image_names_is_advised() -> None:
    here = (Listener("0.0.0.0", 4000), Listener("0.0.0.0", 5000))
    assert "app.port = 5000" in found(REFUSED, listeners=here, exposed=(5000,)).hint
    assert "app.port = 4000" in found(REFUSED, listeners=here, exposed=(5000,), answers_on=4000).hint


def test_another_port_of_the_loopback() -> None:
    cause = found(REFUSED, listeners=(Listener("127.0.0.1", 5000),))
    assert "127.0.0.1:5000 only" in cause.why
    assert "app.port = 5000" in cause.hint
    assert cause.patience is None


def test_without_the_sockets_the_image_tells_the_port() -> None:
    cause = found(REFUSED, exposed=(5000,))
    assert "the image names port 5000 (EXPOSE)" in cause.why
    assert cause.patience is None
    assert case(REFUSED, exposed=(5000, 8080)) is None
    assert case(REFUSED) is None


# --- what it answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "why", "hint"),
    [
        (Reply(status=401), "wants a login for /healthz (HTTP 401)", "health.path"),
        (Reply(status=403), "wants a login for /healthz (HTTP 403)", "health.path"),
        (Reply(status=405), "does not allow GET for /healthz", "health.path"),
        (Reply(status=301, location="/healthz/"), "redirects /healthz to /healthz/", 'health.path = "/healthz/"'),
        (Reply(status=302, location="/login?next=x"), "redirects", "a path that needs no login"),
        (Reply(status=302, location="/v2/health?next=x"), "redirects", 'health.path = "/v2/health"'),
        (Reply(status=308, location="https://x/healthz"), "redirects", "HTTP to HTTPS"),
        (Reply(status=307), "redirects /healthz (HTTP 307)", "health.path"),
        (Reply(status=404), "has no /healthz (HTTP 404)", "health.path"),
        (Reply(status=400, body="Client sent an HTTP request to an HTTPS server."), "speaks TLS on port 8080", "TLS"),
        (Reply(status=400, body="The plain HTTP request was sent to HTTPS port"), "speaks TLS on port 8080", "TLS"),
        (Reply(status=400, body="Invalid HTTP_HOST header: 'x'. Add to ALLOWED_HOSTS."), "Host name", "health.host"),
        (Reply(status=403, body="Blocked request. This host is not allowed."), "Host name", "health.host"),
    ],
)
def test_a_final_status_is_certain(reply: Reply, why: str, hint: str) -> None:
    cause = found(reply)
    assert why in cause.why
    assert hint in cause.hint
    assert cause.patience is not None


@pytest.mark.parametrize("status", [500, 502, 503, 429, 400, 200])
def test_a_server_that_may_be_loading_is_waited_for(status: int) -> None:
    assert case(Reply(status=status)) is None


def test_a_path_that_answers_is_named_and_found_soon() -> None:
    cause = found(Reply(status=404), answers_at="/ping")
    assert 'health.path = "/ping"' in cause.hint
    unknown = found(Reply(status=404))
    assert cause.patience is not None
    assert unknown.patience is not None
    assert cause.patience < unknown.patience


def test_a_model_may_be_unknown_while_it_is_loaded() -> None:
    assert found(Reply(status=404), spec=replace(SPEC, path="/v2/models/m/ready")).patience is None


# --- what it speaks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "part"), [("tls", "TLS"), ("h2", "HTTP/2 without TLS")])
def test_another_protocol_is_certain(protocol: str, part: str) -> None:
    cause = found(Reply(error="closed without an answer"), protocol=protocol)
    assert part in cause.why
    assert cause.patience is not None


def test_a_slow_answer_has_no_cause() -> None:
    assert case(Reply(error="no answer within 2 s")) is None
    assert case(Reply(error="closed without an answer")) is None


def test_an_address_that_cannot_be_reached() -> None:
    reply = Reply(error="no connection: No route to host")
    assert "cannot be reached from here" in found(reply, listeners=(Listener("0.0.0.0", 8080),)).why
    assert "cannot be reached from here" in found(reply).why
    assert case(reply, listeners=()) is None


# --- memory and log ---------------------------------------------------------------------------------------------------


def test_processes_that_are_killed_again_are_certain() -> None:
    cause = found(Reply(status=503), kills=2, runtime=Runtime(memory=64 << 20))
    assert "killed 2 of its processes for lack of memory" in cause.why
    assert "run.memory" in cause.hint
    assert cause.patience == 0
    assert case(Reply(status=503), kills=1) is None


def test_the_log_is_the_cause_when_nothing_else_is_certain() -> None:
    lines = ("RuntimeError: can't start new thread",)
    assert "run.pids_limit" in found(Reply(status=503), lines=lines).hint
    assert "run.pids_limit" in found(REFUSED, lines=lines, listeners=(Listener("0.0.0.0", 1),)).hint
    assert "0.0.0.0:8080" in found(REFUSED, lines=lines, listeners=(Listener("127.0.0.1", 8080),)).hint


def test_a_program_that_gave_up_is_certain() -> None:
    lines = ("s6-overlay-suexec: fatal: can only run as pid 1",)
    cause = found(REFUSED, lines=lines, listeners=())
    assert "run.init" in cause.hint
    assert cause.patience is not None


def test_a_server_without_any_of_the_paths_is_told_so() -> None:
    spec = ProbeSpec("/v1/models", 8080, otherwise=("/health",))
    assert found(Reply(status=404), spec=spec).why == "the server has neither /health nor /v1/models (HTTP 404)"
    cause = found(Reply(status=401), spec=spec)
    assert cause.why == "the server wants a login for /v1/models (HTTP 401)"
