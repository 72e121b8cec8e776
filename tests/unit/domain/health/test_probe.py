"""What one reply means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.health.probe import ProbeSpec, Reply, judge

SPEC = ProbeSpec(path="/healthz", port=8080)
BODY = replace(SPEC, body='"status" *: *"READY"', failed_body='"status" *: *"FAILED"')


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_status_in_range_is_ready(status: int) -> None:
    assert judge(SPEC, Reply(status=status)).ready


@pytest.mark.parametrize("status", [100, 199, 300, 301, 404, 500, 503])
def test_a_status_out_of_range_is_not_ready_and_not_hopeless(status: int) -> None:
    judgement = judge(SPEC, Reply(status=status))
    assert not judgement.ready
    assert not judgement.hopeless
    assert str(status) in judgement.reason


def test_a_redirect_is_never_ready_even_where_the_range_allows_it() -> None:
    judgement = judge(replace(SPEC, statuses=(200, 399)), Reply(status=302))
    assert not judgement.ready
    assert "redirect" in judgement.reason


def test_an_exact_status_can_be_required() -> None:
    assert not judge(replace(SPEC, statuses=(200, 200)), Reply(status=204)).ready


def test_a_required_body_decides() -> None:
    assert judge(BODY, Reply(status=200, body='{"status": "READY"}')).ready
    judgement = judge(BODY, Reply(status=200, body='{"status": "STARTING"}'))
    assert not judgement.ready
    assert "the body does not say" in judgement.reason


def test_a_matching_body_with_a_bad_status_is_not_ready() -> None:
    assert not judge(BODY, Reply(status=503, body='{"status": "READY"}')).ready


@pytest.mark.parametrize("status", [200, 500, 503])
def test_a_failed_body_is_hopeless_whatever_the_status(status: int) -> None:
    judgement = judge(BODY, Reply(status=status, body='{"status":"FAILED"}'))
    assert judgement.hopeless
    assert not judgement.ready


def test_no_answer_is_not_ready() -> None:
    assert judge(SPEC, Reply(error="connection refused", refused=True)).reason == "connection refused"
    assert judge(SPEC, Reply()).reason == "no answer"


def test_a_reply_is_shown_as_one_short_line() -> None:
    text = str(Reply(status=503, body="loading\n  the model " + "x" * 1000))
    assert text.startswith("HTTP 503 'loading the model x")
    assert len(text) < 140
    assert "\x1b" not in str(Reply(status=500, body="\x1b[31mred"))
