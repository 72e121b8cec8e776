"""The result of consecutive probes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.health import tally as verdict
from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.probe import ProbeSpec, Reply
from orchestrator.domain.health.tally import Tally

SPEC = ProbeSpec(path="/", port=80, successes=3, deadline=30.0, interval=0.5)
GOOD = Reply(status=200, body="ok")
LOADING = Reply(status=503, body="loading")
REFUSED = Reply(error="connection refused", refused=True)


def tally(*replies: Reply, spec: ProbeSpec = SPEC) -> Tally:
    result = Tally(spec)
    for reply in replies:
        result = result.after(reply)
    return result


def test_good_answers_must_come_in_a_row() -> None:
    assert not tally(GOOD, GOOD, LOADING, GOOD, GOOD).ready
    assert tally(GOOD, LOADING, GOOD, GOOD, GOOD).ready


@given(st.lists(st.booleans(), max_size=30), st.integers(min_value=-1, max_value=5))
def test_ready_means_that_the_last_k_replies_were_good(answers: list[bool], successes: int) -> None:
    result = tally(*(GOOD if good else LOADING for good in answers), spec=replace(SPEC, successes=successes))
    needed = max(1, successes)
    assert result.ready == (len(answers) >= needed and all(answers[-needed:]))
    runs = "".join("x" if good else " " for good in answers).split()
    assert result.longest == max((len(run) for run in runs), default=0)
    assert result.probes == len(answers)


def test_a_hopeless_reply_settles_the_tally() -> None:
    spec = replace(SPEC, failed_body="FAILED")
    result = tally(GOOD, Reply(status=200, body="SETUP_FAILED"), spec=spec)
    assert result.hopeless
    assert result.settled
    assert not result.ready


@pytest.mark.parametrize(
    ("reply", "interval", "pause"),
    [(REFUSED, 0.5, 0.05), (REFUSED, 0.01, 0.01), (LOADING, 0.5, 0.5), (GOOD, 0.2, 0.2)],
)
def test_only_a_refused_connection_is_probed_again_early(reply: Reply, interval: float, pause: float) -> None:
    assert tally(reply, spec=replace(SPEC, interval=interval)).pause == pause


def test_a_tally_in_words() -> None:
    assert str(Tally(SPEC)) == "no probe was answered"
    assert str(tally(REFUSED)) == "1 probe, last: connection refused"
    assert str(tally(*[LOADING] * 12)) == "12 probes, last: HTTP 503 'loading'"
    assert str(tally(GOOD, GOOD, LOADING)) == "3 probes, last: HTTP 503 'loading'; 2 good answers in a row of 3 needed"
    assert str(tally(GOOD, LOADING)).endswith("; 1 good answer in a row of 3 needed")


def test_a_ready_tally_mentions_no_missing_replies() -> None:
    assert "needed" not in str(tally(GOOD, GOOD, GOOD))


def test_progress_names_the_target_and_the_last_answer() -> None:
    assert verdict.progress_line("m-1", tally(REFUSED), 12.3) == "m-1: not ready after 12 s: connection refused"
    assert verdict.progress_line("m-1", Tally(SPEC), 1.0) == "m-1: not ready after 1 s: no answer yet"


def test_progress_counts_good_answers() -> None:
    good = replace(tally(REFUSED), streak=1)
    assert verdict.progress_line("m-1", good, 1.0) == f"m-1: 1 of {SPEC.successes} good answers in a row after 1 s"


def test_a_cause_comes_before_the_probes() -> None:
    cause = Cause("it sleeps", "wake it", 1.0)
    assert verdict.progress_line("m-1", tally(REFUSED), 2.0, cause).endswith("connection refused; it sleeps")
    late = verdict.too_late("m-1", tally(REFUSED), cause)
    assert late.message == "m-1 did not become ready within 30 s"
    assert late.why == "it sleeps (1 probe, last: connection refused)"
    assert late.hint == "wake it; if it only needs more time, increase health.deadline"
    certain = verdict.caused("m-1", tally(REFUSED), cause)
    assert (certain.message, certain.why, certain.hint) == ("m-1 will not become ready", late.why, "wake it")


def test_the_errors_of_failed_probes() -> None:
    late = verdict.too_late("m-1", tally(LOADING))
    assert late.message == "m-1 did not become ready within 30 s"
    assert late.why == "1 probe, last: HTTP 503 'loading'"
    assert late.exit_code == 3

    assert late.hint.startswith("read the container's log")
    assert "0.0.0.0:80 (app.port)" in verdict.too_late("m-1", tally(REFUSED)).hint
    silent = verdict.too_late("m-1", tally(Reply(error="no answer within 2 s")))
    assert "increase health.timeout" in silent.hint

    lost = verdict.hopeless("m-1", tally(LOADING))
    assert lost.message == "m-1 will not become ready"

    gone = verdict.gone("m-1", "exited with code 1", tally(REFUSED))
    assert str(gone) == ("m-1 did not become ready: exited with code 1 (1 probe, last: connection refused)")
    assert verdict.gone("m-1", "exited with code 1", Tally(SPEC)).why == "exited with code 1"


# --- a second path ----------------------------------------------------------------------------------------------------

TWO = replace(SPEC, path="/health", otherwise=("/v1/models",), successes=2)
MISSING = Reply(status=404)


def asked(*replies: Reply) -> list[str]:
    """The paths of the probes that gave these replies, and of the next one."""
    result, paths = Tally(TWO), [TWO.path]
    for reply in replies:
        result = result.after(reply)
        paths.append(result.request.path)
    return paths


def test_the_second_path_is_asked_when_the_first_does_not_exist() -> None:
    assert asked(MISSING, GOOD, GOOD) == ["/health", "/v1/models", "/v1/models", "/v1/models"]
    result = tally(MISSING, GOOD, GOOD, spec=TWO)
    assert result.ready
    assert result.request == replace(TWO, path="/v1/models", otherwise=())
    assert result.spec == TWO


@pytest.mark.parametrize("reply", [LOADING, REFUSED, Reply(status=401), Reply(status=301)])
def test_another_bad_reply_does_not_lead_to_the_second_path(reply: Reply) -> None:
    assert asked(reply, reply) == ["/health"] * 3


@pytest.mark.parametrize("reply", [LOADING, MISSING, Reply(status=401)])
def test_after_a_bad_reply_at_the_second_path_the_first_is_asked_again(reply: Reply) -> None:
    assert asked(MISSING, reply, GOOD) == ["/health", "/v1/models", "/health", "/health"]


def test_the_words_name_the_path_when_there_are_several() -> None:
    assert str(tally(MISSING, spec=TWO)) == "1 probe, last: /health: HTTP 404"
    assert str(tally(REFUSED, spec=TWO)) == "1 probe, last: connection refused"
    assert tally(MISSING, spec=TWO).asked == "/health"
