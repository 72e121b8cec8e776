"""What happens next with a canary: one question per test, and a machine that goes through whole rollouts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.domain.rollout.progress import Idle, Move, Rollout, next_move, remaining
from orchestrator.domain.rollout.stages import Stage
from orchestrator.domain.traffic.judge import Verdict

BEGAN = 1_800_000_000.0
FIRST = Rollout(7, "mymodel", "v2", "green", (Stage(500, 300), Stage(2500, 600), Stage(5000, 600)), 0, BEGAN)
LAST = replace(FIRST, stage=2)


def move(
    rollout: Rollout = FIRST,
    *,
    verdict: Verdict = "inconclusive",
    alive_problem: str | None = None,
    requests: int = 100,
    after: float = 300.0,
    idle: Idle = "hold",
    unanswered: int = 0,
) -> Move:
    return next_move(rollout, verdict, alive_problem, requests, BEGAN + after, idle, unanswered)


# --- time --------------------------------------------------------------------------------------------------------


def test_a_stage_goes_on_until_its_time_is_over() -> None:
    assert move(after=299.0) == Move("stay", "stage 1 of 3 ends in 1 s")


def test_what_is_left_is_not_shown_as_nothing() -> None:
    assert move(after=299.9).why == "stage 1 of 3 ends in 1 s"


def test_a_stage_ends_when_its_time_is_over() -> None:
    assert move() == Move("advance", "stage 1 of 3 is over")


def test_every_stage_has_its_own_length() -> None:
    assert move(replace(FIRST, stage=1)).kind == "stay"


def test_after_the_last_stage_the_candidate_gets_all_traffic() -> None:
    assert move(LAST, after=600.0) == Move("finish", "stage 3 of 3 is over")


def test_the_last_stage_lasts_as_long_as_it_should() -> None:
    assert move(LAST, after=599.0).kind == "stay"


# --- the judge ---------------------------------------------------------------------------------------------------


def test_a_candidate_that_is_proven_good_advances_early() -> None:
    assert move(verdict="good", after=1.0) == Move("advance", "v2 is proven good")


def test_a_candidate_that_is_proven_good_finishes_early() -> None:
    assert move(LAST, verdict="good", after=1.0) == Move("finish", "v2 is proven good")


def test_a_proof_from_earlier_stages_does_not_end_a_stage_without_a_request() -> None:
    assert move(verdict="good", requests=0, after=1.0).kind == "stay"


def test_a_bad_candidate_is_aborted_at_once() -> None:
    assert move(verdict="bad", after=1.0) == Move(
        "abort", "v2 is worse than its limits, by the evidence of its requests"
    )


def test_a_bad_candidate_is_aborted_at_the_end_of_its_stage() -> None:
    assert move(verdict="bad").kind == "abort"


def test_a_dead_candidate_is_aborted_and_the_reason_is_said() -> None:
    assert move(alive_problem="exited with 137", after=1.0) == Move("abort", "v2 is not alive: exited with 137")


def test_a_dead_candidate_is_aborted_although_it_was_proven_good() -> None:
    assert move(alive_problem="exited with 137", verdict="good").kind == "abort"


def test_a_problem_without_words_is_still_a_problem() -> None:
    assert move(alive_problem="").kind == "abort"


# --- people ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["inconclusive", "good"])
def test_a_held_rollout_stays(verdict: Verdict) -> None:
    held = replace(FIRST, held=True)
    assert move(held, verdict=verdict, after=9999.0) == Move("stay", "on hold; to continue: deployctl resume")


def test_a_bad_candidate_is_aborted_although_the_rollout_is_held() -> None:
    assert move(replace(FIRST, held=True), verdict="bad").kind == "abort"


def test_a_dead_candidate_is_aborted_although_the_rollout_is_held() -> None:
    assert move(replace(FIRST, held=True), alive_problem="exited").kind == "abort"


def test_a_stage_that_needs_approval_waits_for_it() -> None:
    expected = Move("stay", "stage 1 of 3 is over; it waits for 'deployctl promote'")
    assert move(replace(FIRST, approve=True)) == expected
    assert move(replace(FIRST, approve=True), verdict="good", after=1.0) == expected


def test_a_stage_does_not_ask_for_approval_before_its_end() -> None:
    assert "promote" not in move(replace(FIRST, approve=True), after=1.0).why


def test_the_last_stage_waits_for_approval_too() -> None:
    assert move(replace(LAST, approve=True), after=600.0).kind == "stay"


def test_a_bad_candidate_does_not_wait_for_approval() -> None:
    assert move(replace(FIRST, approve=True), verdict="bad").kind == "abort"


# --- without a request -------------------------------------------------------------------------------------------


def test_a_stage_without_a_request_is_held_and_says_so() -> None:
    why = "stage 1 of 3 is over, but v2 got no request in it"
    assert move(requests=0) == Move("stay", f'{why}; to go on: deployctl promote, or judge.idle = "advance"')


def test_a_stage_without_a_request_may_be_left_and_says_so() -> None:
    assert move(requests=0, idle="advance") == Move("advance", "stage 1 of 3 is over, and v2 got no request in it")


@pytest.mark.parametrize("idle", ["hold", "advance"])
@pytest.mark.parametrize("requests", [0, 1])
def test_a_stage_in_which_nothing_was_answered_well_does_not_end(requests: int, idle: Idle) -> None:
    """They failed, or they are open: a version that hangs answers nothing."""
    expected = Move("stay", "stage 1 of 3 is over, but v2 has answered none of its 4 requests")
    assert move(requests=requests, idle=idle, unanswered=4, after=9999.0) == expected
    assert move(requests=requests, idle=idle, unanswered=4, verdict="bad").kind == "abort"


def test_the_first_request_ends_a_stage_that_is_over() -> None:
    assert move(requests=1, after=9999.0).kind == "advance"


def test_a_stage_without_a_request_waits_for_approval_too() -> None:
    assert "promote" in move(replace(FIRST, approve=True), requests=0, idle="advance").why


# --- the clock ---------------------------------------------------------------------------------------------------


def test_a_clock_that_was_set_back_does_not_end_a_stage() -> None:
    assert move(after=-3600.0).kind == "stay"


def test_a_clock_that_was_set_back_lets_the_stage_begin_again() -> None:
    assert move(after=-3600.0) == Move("stay", "stage 1 of 3 ends in 300 s", since=BEGAN - 3600.0)
    assert move(replace(FIRST, stage_since=BEGAN - 3600.0), after=-3300.0).kind == "advance"


def test_a_held_rollout_also_records_that_the_clock_was_set_back() -> None:
    assert move(replace(FIRST, held=True), after=-3600.0).since == BEGAN - 3600.0


@pytest.mark.parametrize(("after", "left"), [(-3600.0, 300.0), (0.0, 300.0), (100.0, 200.0), (300.0, 0.0), (9e9, 0.0)])
def test_what_is_left_of_a_stage_is_never_more_than_its_length(after: float, left: float) -> None:
    assert remaining(FIRST, BEGAN + after) == left


# --- malformed rollouts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [-1, 3])
def test_a_rollout_is_in_one_of_its_stages(stage: int) -> None:
    with pytest.raises(ValueError, match="has 3 stages"):
        replace(FIRST, stage=stage)


# --- whole rollouts ----------------------------------------------------------------------------------------------

SECONDS = st.integers(1, 400).map(float)


class Canary(RuleBasedStateMachine):
    """A rollout that is looked at after everything that happens. What each move promises is checked at each look."""

    @initialize(
        stages=st.lists(SECONDS, min_size=1, max_size=3),
        approve=st.booleans(),
        idle=st.sampled_from(["hold", "advance"]),
    )
    def begin(self, stages: list[float], approve: bool, idle: Idle) -> None:
        self.now, self.idle, self.over = BEGAN, idle, False
        self.verdict: Verdict = "inconclusive"
        self.problem: str | None = None
        self.rollout = replace(FIRST, stages=tuple(Stage(500, each) for each in stages), approve=approve)
        self.enter()

    def enter(self) -> None:
        """The stage by a clock of our own that nobody sets: how long it lasts, also since the other was set back."""
        self.requests, self.lasted, self.since_set_back = 0, 0.0, 0.0

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.lasted += seconds
        self.since_set_back += seconds

    @rule(seconds=st.sampled_from([1.0, 100.0, 5000.0]))
    def set_the_clock_back(self, seconds: float) -> None:
        self.now -= seconds
        self.since_set_back = 0.0

    @rule(count=st.integers(1, 100))
    def answer(self, count: int) -> None:
        self.requests += count

    @rule(verdict=st.sampled_from(["inconclusive", "good"]))
    def judge(self, verdict: Verdict) -> None:
        self.verdict = verdict

    @rule(held=st.booleans())
    def hold_or_resume(self, held: bool) -> None:
        self.rollout = replace(self.rollout, held=held)

    @rule()
    def promote(self) -> None:
        """A person asks for the next stage, whatever the time."""
        if not self.over:
            last = self.rollout.stage + 1 == len(self.rollout.stages)
            self.apply(Move("finish" if last else "advance", "promoted"))

    @rule(dead=st.booleans())
    @precondition(lambda self: not self.over and self.lasted > 100)  # otherwise hardly a rollout lives long
    def go_bad(self, dead: bool) -> None:
        self.problem, self.verdict = ("exited with 1", self.verdict) if dead else (None, "bad")

    @invariant()
    def look(self) -> None:
        if self.over:
            return
        rollout = self.rollout
        found = next_move(rollout, self.verdict, self.problem, self.requests, self.now, self.idle)
        again = next_move(rollout, self.verdict, self.problem, self.requests, self.now, self.idle)
        assert found == again
        bad = self.verdict == "bad" or self.problem is not None
        assert (found.kind == "abort") == bad, "bad and only bad candidates are aborted"
        length = rollout.stages[rollout.stage].seconds
        proven = self.verdict == "good" and self.requests > 0
        last = rollout.stage + 1 == len(rollout.stages)
        if found.kind in ("advance", "finish"):
            assert not rollout.held, "what is held stays"
            assert self.lasted >= length or proven, "no stage ends early without proof"
            assert not rollout.approve, "no stage ends without approval"
            assert self.requests or self.idle == "advance", "no stage is waved through"
            assert (found.kind == "finish") == last
        elif found.kind == "stay":
            allowed = not rollout.approve and (self.requests > 0 or self.idle == "advance")
            assert rollout.held or not allowed or (self.since_set_back < length and not proven), "no stage lasts longer"
        self.apply(found)

    def apply(self, found: Move) -> None:
        if found.kind in ("finish", "abort"):
            self.over = True
        elif found.kind == "advance":
            self.rollout = replace(self.rollout, stage=self.rollout.stage + 1, stage_since=self.now)
            self.verdict = "inconclusive"
            self.enter()
        elif found.since is not None:
            self.rollout = replace(self.rollout, stage_since=found.since)


TestCanary = Canary.TestCase
TestCanary.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
