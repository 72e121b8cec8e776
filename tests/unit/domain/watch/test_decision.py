"""The decisions of the watchdog."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.traffic.judge import Assessment
from orchestrator.domain.watch.decision import Act, Decision, check, condition, decide
from orchestrator.domain.watch.look import Look, Replica, Rules
from orchestrator.domain.watch.memory import Attempts, Memory, exits

RULES = Rules()
NOW = 1_000_000.0
BAD = Assessment("bad", "30.0% of 400 requests failed")


def replica(index: int = 1, **more: Any) -> Replica:
    return Replica(index, f"mymodel-v2-green-{index}", **more)


def look(*replicas: Replica, **more: Any) -> Look:
    facts: dict[str, Any] = {"now": NOW, "version": "v2", "target": "v1"}
    return Look(replicas=replicas or (replica(),), **{**facts, **more})


def kinds(decision: Decision) -> list[str]:
    return [act.kind if act.kind != "repair" else f"repair {act.index}" for act in decision.acts]


def passes(looks: list[Look], rules: Rules = RULES) -> list[Decision]:
    """One decision for each look, each with the memory of the one before."""
    memory, decisions = Memory(7), []
    for each in looks:
        # The ledger stores it as JSON.
        memory = Memory.from_json(json.loads(json.dumps(memory.to_json())), 7)
        decisions.append(decide(each, memory, rules))
        memory = decisions[-1].memory
    return decisions


def test_a_bake_in_which_nothing_was_answered_well_is_extended() -> None:
    baking = {"bake_until": NOW - 60, "since": NOW - 90}
    decision = decide(look(unanswered=3, **baking), Memory(7), RULES)
    assert (decision.acts, decision.problems) == ((), ())
    assert decision.waiting == ("the bake of v2 is extended: it has answered none of its 3 requests",)
    assert kinds(decide(look(unanswered=3, traffic=BAD, **baking), Memory(7), RULES)) == ["roll-back"]
    assert kinds(decide(look(**baking), Memory(7), RULES)) == ["promote"]


def test_nothing_is_done_when_all_replicas_are_healthy() -> None:
    decision = decide(look(replica(1), replica(2)), Memory(7), RULES)
    assert (decision.acts, decision.problems, decision.waiting) == ((), (), ())


@pytest.mark.parametrize("facts", [{"fault": "it is paused"}, {"probe_failure": "3 of 3 probes failed"}])
def test_an_unhealthy_replica_is_repaired_and_a_healthy_one_is_left_alone(facts: dict[str, str]) -> None:
    decision = decide(look(replica(1), replica(2, **facts)), Memory(7), RULES)
    assert decision.acts == (Act("repair", next(iter(facts.values())), 2),)
    assert decision.memory.attempts == {2: Attempts(1, NOW)}


def test_the_wait_between_repairs_doubles() -> None:
    down = replica(fault="it is gone")
    at = [0, 5, 10, 25, 30, 69, 70, 149, 150]
    decisions = passes([look(down, now=NOW + seconds) for seconds in at])
    assert [seconds for seconds, decision in zip(at, decisions, strict=True) if decision.acts] == [0, 10, 30, 70, 150]
    assert decisions[1].waiting == ("mymodel-v2-green-1: it is gone; next attempt in 5 s",)


def test_a_version_is_rolled_back_after_the_limit_of_repairs() -> None:
    down = replica(fault="it is gone")
    decisions = passes([look(down, now=NOW + 200 * number) for number in range(7)], replace(RULES, window=3600))
    assert [kinds(decision) for decision in decisions] == [["repair 1"]] * 5 + [["roll-back"]] * 2
    (act,) = decisions[5].acts
    assert act.why == "v2 cannot be repaired: mymodel-v2-green-1 was repaired 5 times and is down again: it is gone"


def test_repairs_are_forgotten_after_a_healthy_window() -> None:
    down, up = replica(fault="it is gone"), replica()
    looks = [look(down), look(up, now=NOW + 60), look(up, now=NOW + 700), look(down, now=NOW + 701)]
    decisions = passes(looks)
    assert decisions[1].memory.attempts == {1: Attempts(1, NOW)}
    assert decisions[2].memory.attempts == {}
    assert decisions[3].memory.attempts == {1: Attempts(1, NOW + 701)}


@pytest.mark.parametrize(
    ("facts", "rules", "obstacle"),
    [
        ({"target": None}, RULES, "there is no stable version to roll back to"),
        ({"cooling_until": NOW + 2000}, RULES, "the last automatic rollback was too recent: 800 s to wait"),
        ({}, replace(RULES, auto_rollback=False), "watchdog.auto_rollback is off"),
    ],
)
def test_a_version_that_cannot_be_rolled_back_is_reported(facts: dict[str, Any], rules: Rules, obstacle: str) -> None:
    rules = replace(rules, window=3600)
    looks = [look(replica(fault="it is gone"), now=NOW + 200 * number, **facts) for number in range(7)]
    last = passes(looks, rules)[-1]
    assert last.acts == ()
    assert last.problems == (
        f"v2 cannot be repaired: mymodel-v2-green-1 was repaired 5 times and is down again: it is gone, and {obstacle}",
    )


def test_a_stable_version_with_a_healthy_replica_is_not_rolled_back() -> None:
    looks = [look(replica(1), replica(2, fault="it is gone"), now=NOW + 200 * number) for number in range(7)]
    last = passes(looks, replace(RULES, window=3600))[-1]
    assert last.acts == ()
    assert last.problems == ("v2 is degraded: mymodel-v2-green-2 was repaired 5 times and is down again: it is gone",)


def test_a_version_that_keeps_ending_is_rolled_back_although_it_answers() -> None:
    decisions = passes([look(replica(exits=count), now=NOW + 10 * count) for count in range(8)])
    assert [kinds(decision) for decision in decisions] == [[]] * 5 + [["roll-back"]] * 3
    assert decisions[5].acts[0].why == "v2 cannot be repaired: mymodel-v2-green-1 exited 5 times within 600 s"


def test_exits_before_the_window_do_not_count() -> None:
    assert passes([look(replica(exits=900))])[0].acts == ()
    slow = passes([look(replica(exits=count), now=NOW + 300 * count) for count in range(20)])
    assert all(decision.acts == () for decision in slow)
    assert exits(slow[-1].memory, 1) <= 3


def test_a_recreated_container_starts_with_no_exits() -> None:
    decisions = passes(
        [look(replica(exits=4)), look(replica(exits=0), now=NOW + 1), look(replica(exits=1), now=NOW + 2)]
    )
    assert exits(decisions[-1].memory, 1) == 1


def test_a_starting_replica_is_not_repaired() -> None:
    booting = replica(probe_failure="3 of 3 probes failed", recently_started=True, started_at=5.0)
    first = decide(look(booting), Memory(7), RULES)
    assert (first.acts, first.waiting) == ((), ("mymodel-v2-green-1 is starting: 3 of 3 probes failed",))
    # It has been ready since that start: it hangs, and is not starting.
    hung = passes([look(replica(recently_started=True, started_at=5.0)), look(booting, now=NOW + 1)])[1]
    assert kinds(hung) == ["repair 1"]
    again = passes(
        [look(replica(recently_started=True, started_at=5.0)), look(replace(booting, started_at=9.0), now=NOW + 1)]
    )[1]
    assert again.acts == ()


FAILED = "3 of 3 probes failed"
BOOTING = {"probe_failure": FAILED, "recently_started": True, "started_at": NOW - 5}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "healthy"),
        ({"fault": "it is paused"}, "faulty"),
        ({"fault": "it exited with exit code 1", "restarting": True}, "restarting"),
        ({"probe_failure": FAILED}, "hung"),
        ({"probe_failure": FAILED, "answers": True}, "not ready"),
        ({"probe_failure": FAILED, "open_requests": 1}, "busy"),
        ({"probe_failure": FAILED, "open_requests": 1, "answers": True}, "not ready"),
        (BOOTING, "starting"),
        ({**BOOTING, "answers": True}, "starting"),
        ({**BOOTING, "open_requests": 1}, "starting"),
        ({"fault": "it is paused", "answers": True, "open_requests": 1}, "faulty"),
    ],
)
def test_the_condition_of_a_replica(facts: dict[str, Any], expected: str) -> None:
    seen = look(replica(**facts))
    decision = decide(seen, Memory(7), RULES)
    assert condition(seen.replicas[0], seen, decision.memory, RULES) == expected
    # Only what is down by itself is repaired, and only what is healthy or busy is well.
    assert kinds(decision) == (["repair 1"] if expected in ("faulty", "hung") else [])
    assert decision.unhealthy == ((1,) if expected in ("restarting", "not ready", "starting") else ())


def test_a_replica_that_answers_is_reported_and_never_repaired() -> None:
    waiting = replica(probe_failure="3 of 3 probes failed, last: HTTP 503 'no database'", answers=True)
    decisions = passes([look(waiting, now=NOW + 60 * number) for number in range(60)])
    assert all(decision.acts == () for decision in decisions)
    problem = "mymodel-v2-green-1 is not ready: 3 of 3 probes failed, last: HTTP 503 'no database'"
    assert {decision.problems for decision in decisions} == {(problem,)}


def test_a_version_is_not_rolled_back_while_a_replica_only_is_not_ready() -> None:
    down, waiting = replica(1, fault="it is gone"), replica(2, probe_failure=FAILED, answers=True)
    looks = [look(down, waiting, now=NOW + 200 * number) for number in range(9)]
    last = passes(looks, replace(RULES, window=3600))[-1]
    assert last.acts == ()
    assert last.problems == (
        "v2 is degraded: mymodel-v2-green-1 was repaired 5 times and is down again: it is gone",
        f"mymodel-v2-green-2 is not ready: {FAILED}",
    )


def test_a_busy_replica_may_fail_its_probes() -> None:
    working = replica(probe_failure=FAILED, open_requests=1)
    rules = replace(RULES, busy=120.0)
    decisions = passes([look(working, now=NOW + seconds) for seconds in (0, 60, 119, 120)], rules)
    assert [kinds(decision) for decision in decisions] == [[], [], [], ["repair 1"]]
    assert decisions[0].waiting == (f"mymodel-v2-green-1 is busy with 1 request: {FAILED}",)
    assert (
        decide(look(replace(working, open_requests=2)), Memory(7), rules)
        .waiting[0]
        .startswith("mymodel-v2-green-1 is busy with 2 requests: ")
    )
    assert all(decision.problems == () and decision.unhealthy == () for decision in decisions[:3])
    idle = decide(look(replace(working, open_requests=0)), Memory(7), rules)
    assert kinds(idle) == ["repair 1"]
    assert kinds(decide(look(working), Memory(7), replace(RULES, busy=0.0))) == ["repair 1"]


def test_probes_that_took_longer_than_a_request_may_are_enough() -> None:
    working = replica(probe_failure=FAILED, open_requests=1, missed=7.0)
    assert kinds(decide(look(working), Memory(7), replace(RULES, busy=7.1))) == []
    assert kinds(decide(look(working), Memory(7), replace(RULES, busy=7.0))) == ["repair 1"]


def test_a_replica_that_answers_one_request_after_another_may_be_busy_for_ever() -> None:
    working = replica(probe_failure=FAILED, open_requests=1)
    looks = [look(replace(working, answered=number // 3), now=NOW + 60 * number) for number in range(100)]
    assert all(decision.acts == () for decision in passes(looks))
    stuck = [look(replace(working, answered=7), now=NOW + 60 * number) for number in range(11)]
    assert [kinds(decision) for decision in passes(stuck)] == [[]] * 10 + [["repair 1"]]


def test_counters_that_begin_again_do_not_hide_an_answer() -> None:
    """The proxy was replaced or has reloaded: what its old process had counted is gone."""
    working = replica(probe_failure=FAILED, open_requests=1)
    busy = [look(replace(working, answered=count), now=NOW + 700 * n) for n, count in enumerate((900, 1000, 4, 9))]
    assert [kinds(decision) for decision in passes(busy)] == [[]] * 4
    # A process that has answered nothing yet says nothing.
    stuck = [look(replace(working, answered=count), now=NOW + 700 * n) for n, count in enumerate((900, 1000, 0))]
    assert [kinds(decision) for decision in passes(stuck)] == [[], [], ["repair 1"]]


def test_a_new_start_begins_a_new_time() -> None:
    working = replica(probe_failure=FAILED, open_requests=1)
    first = look(working)
    restarted = look(replace(working, started_at=NOW + 500), now=NOW + 650)
    assert [kinds(decision) for decision in passes([first, restarted])] == [[], []]


def test_while_a_replica_waits_for_its_next_repair_the_app_is_not_well() -> None:
    down = replica(1, fault="it is gone")
    first, second = passes([look(down, replica(2)), look(down, replica(2), now=NOW + 5)])
    assert (kinds(first), first.unhealthy, first.problems) == (["repair 1"], (), ())
    assert (kinds(second), second.unhealthy, second.problems) == ([], (1,), ())
    # Without another one that serves, that is a problem.
    alone = passes([look(down), look(down, now=NOW + 5)])[1]
    assert alone.problems == ("v2 does not answer: mymodel-v2-green-1: it is gone",)


def test_a_replica_that_the_engine_restarts_is_left_to_it() -> None:
    ended = replica(fault="it exited with exit code 3", restarting=True, exits=2)
    decision = decide(look(ended), Memory(7), RULES)
    assert decision.acts == ()
    assert decision.waiting == ("mymodel-v2-green-1: it exited with exit code 3; the engine restarts it",)


# --- exits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "since", "expected"),
    [
        ({"exits": 7}, NOW - 60, 7),
        ({"exits": 7, "exits_before": 5}, NOW - 60, 2),
        ({"exits": 7, "exits_before": 7}, NOW - 60, 0),
        ({"exits": 7}, NOW - 600, 7),
        # Later, the engine does not say when they were, except that the last one was the last start.
        ({"exits": 7, "started_at": NOW - 5}, NOW - 601, 1),
        ({"exits": 7, "started_at": NOW - 601}, NOW - 9000, 0),
        ({"exits": 0, "started_at": NOW - 5}, NOW - 9000, 0),
    ],
)
def test_the_first_look_counts_what_has_happened_since_the_version_went_live(
    facts: dict[str, Any], since: float, expected: int
) -> None:
    decision = decide(look(replica(**facts), since=since), Memory(7), RULES)
    assert exits(decision.memory, 1) == expected
    assert decision.ended == ({1: expected} if expected else {})
    assert kinds(decision) == (["roll-back"] if expected >= 5 else [])


def test_exits_are_not_forgotten_when_a_repair_lets_the_engine_count_from_zero() -> None:
    memory, decisions = Memory(7), []
    for at, count in enumerate([0, 2, 0, 1, 0, 2]):
        decisions.append(decide(look(replica(exits=count), now=NOW + 30 * at), memory, RULES))
        # Each repair starts the container.
        memory = replace(decisions[-1].memory, attempts={1: Attempts(1, NOW + 30 * at)})
    assert [exits(decision.memory, 1) for decision in decisions] == [0, 2, 2, 3, 3, 5]
    assert [decision.ended for decision in decisions] == [{}, {1: 2}, {}, {1: 1}, {}, {1: 2}]
    assert kinds(decisions[-1]) == ["roll-back"]


def test_exits_are_forgotten_when_a_person_starts_or_recreates_the_container() -> None:
    decisions = passes([look(replica(exits=count), now=NOW + 30 * at) for at, count in enumerate([0, 4, 0, 1])])
    assert [exits(decision.memory, 1) for decision in decisions] == [0, 4, 0, 1]
    assert decisions[-1].acts == ()


# --- a version that bakes ------------------------------------------------------------------------------------------

UNTIL = NOW + 120


def test_a_bake_ends_after_its_time() -> None:
    decisions = passes([look(now=NOW + at, bake_until=UNTIL) for at in (0, 119, 120)])
    assert [kinds(decision) for decision in decisions] == [[], [], ["promote"]]


def test_a_bake_without_traffic_succeeds() -> None:
    little = Assessment("inconclusive", "3 requests, 100 are needed to judge")
    decision = decide(look(now=UNTIL, bake_until=UNTIL, traffic=little), Memory(7), RULES)
    assert decision.acts == (Act("promote", "3 requests, 100 are needed to judge"),)


@pytest.mark.parametrize("at", [0, 119, 120, 500])
def test_bad_traffic_rolls_back_at_once(at: float) -> None:
    decision = decide(look(now=NOW + at, bake_until=UNTIL, traffic=BAD), Memory(7), RULES)
    assert decision.acts == (Act("roll-back", "v2 failed its bake: 30.0% of 400 requests failed"),)


HUNG = {"probe_failure": "3 of 3 probes failed, last: no answer"}
UNREADY = {"probe_failure": "3 of 3 probes failed, last: HTTP 503", "answers": True}


def looks_at(seconds: list[float], facts: dict[str, Any], **more: Any) -> list[Look]:
    return [look(replica(1), replica(2, **facts), now=NOW + at, bake_until=UNTIL, **more) for at in seconds]


def test_a_container_that_hangs_for_long_while_baking_is_rolled_back() -> None:
    decisions = passes(looks_at([0, 3, 9, 10], HUNG))
    assert [kinds(decision) for decision in decisions] == [[], [], [], ["roll-back"]]
    assert decisions[3].acts[0].why == f"v2 failed its bake: mymodel-v2-green-2: {HUNG['probe_failure']}"
    assert decisions[0].unhealthy == (2,)
    # A pass of the watchdog looks once a minute: the second one decides.
    assert [kinds(decision) for decision in passes(looks_at([0, 60], HUNG))] == [[], ["roll-back"]]


@pytest.mark.parametrize("facts", [HUNG, UNREADY])
def test_a_short_pause_does_not_condemn_a_bake(facts: dict[str, Any]) -> None:
    ready = {"predecessor_ready": True}
    looks = [*looks_at([0, 1, 3], facts, **ready), *looks_at([4], {}), *looks_at([11, 14], facts, **ready)]
    assert all(decision.acts == () for decision in passes(looks))
    end = look(replica(1), replica(2), now=UNTIL, bake_until=UNTIL)
    assert kinds(passes([*looks, end])[-1]) == ["promote"]


def test_a_version_that_is_not_ready_is_rolled_back_only_when_its_predecessor_is() -> None:
    times: list[float] = [0, 60, 120, 600]
    decisions = passes(looks_at(times, UNREADY))
    assert all(decision.acts == () for decision in decisions), "both wait for the same thing"
    assert decisions[3].problems == (f"mymodel-v2-green-2 is not ready: {UNREADY['probe_failure']}",)
    assert decisions[3].waiting == ("the bake of v2 is extended until all its containers are healthy",)
    compared = passes(looks_at(times[:2], UNREADY, predecessor_ready=True))
    assert [kinds(decision) for decision in compared] == [[], ["roll-back"]]


def test_a_first_version_that_hangs_while_baking_is_repaired_in_the_end() -> None:
    decisions = passes(looks_at([0, 10], HUNG, target=None))
    assert [kinds(decision) for decision in decisions] == [[], ["repair 2"]]
    assert "there is no stable version to roll back to" in decisions[1].problems[0]


def test_a_busy_replica_does_not_condemn_a_bake_and_does_not_end_it() -> None:
    busy = {"probe_failure": "3 of 3 probes failed", "open_requests": 1}
    decisions = passes(looks_at([0, 60, 120], busy))
    assert all(decision.acts == () and decision.problems == () for decision in decisions)
    assert decisions[2].waiting[-1] == "the bake of v2 is extended until all its containers are healthy"


def test_a_paused_container_is_repaired_while_baking() -> None:
    decision = decide(look(replica(fault="it is paused"), bake_until=UNTIL), Memory(7), RULES)
    assert kinds(decision) == ["repair 1"]


def test_three_exits_roll_back_while_baking() -> None:
    decisions = passes([look(replica(exits=count), now=NOW + count, bake_until=UNTIL) for count in range(4)])
    assert [kinds(decision) for decision in decisions] == [[], [], [], ["roll-back"]]
    assert kinds(passes([look(replica(exits=3), bake_until=UNTIL)])[0]) == ["roll-back"], (
        "all exits belong to this bake"
    )


SETTLING = replace(RULES, settle=3.0)


@pytest.mark.parametrize("seen", [0, 1, 3, 3.9, 60])
def test_one_exit_within_the_settle_time_rolls_back(seen: float) -> None:
    """Also when the next look comes after it, as the last one of a release does, and those of a schedule."""
    restarted = 0.0 if seen <= 3 else NOW + 3.2  # while it is restarted, this is not known
    then = look(replica(exits=1, started_at=restarted), since=NOW, now=NOW + seen, bake_until=UNTIL)
    decision = passes([look(replica(), since=NOW, bake_until=UNTIL), then], SETTLING)[-1]
    assert decision.acts == (Act("roll-back", "v2 failed its bake: mymodel-v2-green-1 exited once within 600 s"),)
    assert kinds(decide(then, Memory(7), SETTLING)) == ["roll-back"]


def test_later_three_exits_roll_back() -> None:
    times = [(0, 0.0), (10, 9.0), (20, 19.0), (30, 29.0)]
    looks = [
        look(replica(exits=count, started_at=NOW + at), since=NOW, now=NOW + seen, bake_until=UNTIL)
        for count, (seen, at) in enumerate(times)
    ]
    assert [kinds(each) for each in passes(looks, SETTLING)] == [[], [], [], ["roll-back"]]


def test_a_repair_within_the_settle_time_is_no_exit() -> None:
    then = look(replica(started_at=NOW + 2), since=NOW, now=NOW + 2.5, bake_until=UNTIL)
    assert kinds(decide(then, Memory(7), SETTLING)) == []


def test_a_version_that_does_not_bake_has_no_settle_time() -> None:
    """A rollback, or the same version with another configuration: there is no other version to go back to."""
    decision = passes([look(since=NOW), look(replica(exits=1), since=NOW, now=NOW + 1)], SETTLING)[-1]
    assert kinds(decision) == []


def test_a_bake_is_extended_until_all_replicas_are_healthy() -> None:
    looks = [look(replica(fault="it is gone"), now=UNTIL, bake_until=UNTIL), look(now=UNTIL + 5, bake_until=UNTIL)]
    first, second = passes(looks)
    assert kinds(first) == ["repair 1"]
    assert first.waiting == ("the bake of v2 is extended until all its containers are healthy",)
    assert kinds(second) == ["promote"]


def test_bad_traffic_of_a_first_version_is_reported_and_its_containers_are_repaired() -> None:
    decision = decide(look(replica(fault="it is gone"), bake_until=UNTIL, traffic=BAD, target=None), Memory(7), RULES)
    assert kinds(decision) == ["repair 1"]
    assert decision.problems == (
        "v2 failed its bake: 30.0% of 400 requests failed, and there is no stable version to roll back to",
    )


def test_an_unreachable_app_is_reported() -> None:
    decision = decide(look(unreachable="requests through the proxy do not reach mymodel"), Memory(7), RULES)
    assert decision.problems == ("requests through the proxy do not reach mymodel",)


def test_another_deployment_begins_with_an_empty_memory() -> None:
    stored = passes([look(replica(fault="it is gone"))])[0].memory.to_json()
    assert Memory.from_json(stored, 8) == Memory(8)
    assert Memory.from_json({}, 8) == Memory(8)


def test_a_clock_that_is_set_back_does_not_delay_repairs() -> None:
    down = replica(fault="it is gone")
    decisions = passes([look(down), look(down, now=NOW - 86_400), look(down, now=NOW - 86_400 + 11)])
    assert [kinds(decision) for decision in decisions] == [["repair 1"], [], ["repair 1"]]


# --- the invariant -------------------------------------------------------------------------------------------------

REPLICAS = st.builds(
    Replica,
    index=st.just(1),
    name=st.just("x"),
    fault=st.sampled_from(["", "", "it is gone"]),
    probe_failure=st.sampled_from(["", "", "3 of 3 probes failed"]),
    answers=st.booleans(),
    restarting=st.sampled_from([False, False, True]),
    answered=st.integers(0, 3),
    exits_before=st.integers(0, 3),
    open_requests=st.integers(0, 2),
    exits=st.integers(0, 9),
    recently_started=st.booleans(),
    started_at=st.floats(0, 10),
)
LOOKS = st.builds(
    Look,
    now=st.floats(NOW, NOW + 2000),
    version=st.just("v2"),
    replicas=st.lists(REPLICAS, min_size=1, max_size=4).map(
        lambda replicas: tuple(
            replace(each, index=number, name=f"c{number}") for number, each in enumerate(replicas, 1)
        )
    ),
    traffic=st.sampled_from([Assessment("good"), Assessment("inconclusive"), BAD]),
    bake_until=st.none() | st.floats(NOW, NOW + 2000),
    target=st.none() | st.just("v1"),
    cooling_until=st.floats(0, NOW + 2000),
)


@given(st.lists(LOOKS, min_size=1, max_size=8), st.booleans())
def test_no_sequence_of_looks_repairs_a_healthy_container(looks: list[Look], auto_rollback: bool) -> None:
    rules = replace(RULES, auto_rollback=auto_rollback, busy=30.0)
    for each, decision in zip(looks, passes(looks, rules), strict=True):
        check(each, decision)
        tried = [act.kind for act in decision.acts]
        repaired = {act.index for act in decision.acts if act.kind == "repair"}
        for one in each.replicas:
            # A replica that does not serve is repaired, reported as not well, or the version is rolled back.
            condition_now = condition(one, each, decision.memory, rules)
            well = condition_now in ("healthy", "busy")
            assert well or one.index in repaired or one.index in decision.unhealthy or "roll-back" in tried
            assert condition_now in ("faulty", "hung") or one.index not in repaired
        # A rollback is the only act, needs a target, and never happens within the cool-down.
        if "roll-back" in tried:
            assert tried == ["roll-back"]
            assert auto_rollback
            assert each.target is not None
            assert each.now >= each.cooling_until
        if "promote" in tried:
            assert each.bake_until is not None
            assert each.now >= each.bake_until
            assert all(one.healthy for one in each.replicas)
            assert each.traffic.verdict != "bad"


def test_the_invariant_is_checked() -> None:
    with pytest.raises(ValueError, match="replica 1 of v2 answers"):
        unready = look(replica(probe_failure="HTTP 503", answers=True))
        check(unready, Decision((Act("repair", "why", 1),), (), (), Memory(7)))
    with pytest.raises(ValueError, match="replica 1 of v2 is healthy"):
        check(look(), Decision((Act("repair", "why", 1),), (), (), Memory(7)))
