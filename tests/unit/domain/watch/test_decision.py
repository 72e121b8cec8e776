"""What the watchdog does about what it saw."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.traffic.comparison import Opinion
from orchestrator.domain.watch.decision import Act, Attempts, Decision, Look, Memory, Rules, Seen, check, deaths, decide

RULES = Rules()
NOW = 1_000_000.0
BAD = Opinion("bad", "30.0% of 400 requests failed")


def seen(index: int = 1, **more: Any) -> Seen:
    return Seen(index, f"mymodel-v2-green-{index}", **more)


def look(*replicas: Seen, **more: Any) -> Look:
    facts: dict[str, Any] = {"now": NOW, "version": "v2", "target": "v1"}
    return Look(replicas=replicas or (seen(),), **{**facts, **more})


def kinds(decision: Decision) -> list[str]:
    return [act.kind if act.kind != "repair" else f"repair {act.index}" for act in decision.acts]


def passes(looks: list[Look], rules: Rules = RULES) -> list[Decision]:
    """One decision after the other, each with the memory of the one before."""
    memory, found = Memory(7), []
    for each in looks:
        # As through the ledger.
        memory = Memory.from_json(json.loads(json.dumps(memory.to_json())), 7)
        found.append(decide(each, memory, rules))
        memory = found[-1].memory
    return found


def test_all_is_well() -> None:
    decision = decide(look(seen(1), seen(2)), Memory(7), RULES)
    assert (decision.acts, decision.problems, decision.waiting) == ((), (), ())


@pytest.mark.parametrize("facts", [{"ill": "it is paused"}, {"misses": "3 of 3 probes failed"}])
def test_what_is_down_is_repaired_and_what_is_healthy_is_left_alone(facts: dict[str, str]) -> None:
    decision = decide(look(seen(1), seen(2, **facts)), Memory(7), RULES)
    assert decision.acts == (Act("repair", next(iter(facts.values())), 2),)
    assert decision.memory.attempts == {2: Attempts(1, NOW)}


def test_the_waits_between_attempts_double() -> None:
    down = seen(ill="it is gone")
    at = [0, 5, 10, 25, 30, 69, 70, 149, 150]
    found = passes([look(down, now=NOW + seconds) for seconds in at])
    assert [seconds for seconds, decision in zip(at, found, strict=True) if decision.acts] == [0, 10, 30, 70, 150]
    assert found[1].waiting == ("mymodel-v2-green-1: it is gone; tried again in 5 s",)


def test_after_the_limit_it_is_rolled_back() -> None:
    down = seen(ill="it is gone")
    found = passes([look(down, now=NOW + 200 * number) for number in range(7)], replace(RULES, window=3600))
    assert [kinds(decision) for decision in found] == [["repair 1"]] * 5 + [["roll-back"]] * 2
    (act,) = found[5].acts
    assert act.why == "v2 cannot be healed: mymodel-v2-green-1 was repaired 5 times and is down again: it is gone"


def test_what_was_well_for_the_window_begins_anew() -> None:
    down, up = seen(ill="it is gone"), seen()
    looks = [look(down), look(up, now=NOW + 60), look(up, now=NOW + 700), look(down, now=NOW + 701)]
    found = passes(looks)
    assert found[1].memory.attempts == {1: Attempts(1, NOW)}
    assert found[2].memory.attempts == {}
    assert found[3].memory.attempts == {1: Attempts(1, NOW + 701)}


@pytest.mark.parametrize(
    ("facts", "rules", "obstacle"),
    [
        ({"target": None}, RULES, "there is no stable version to roll back to"),
        ({"cooling_until": NOW + 2000}, RULES, "the last automatic rollback was too recent: 800 s to wait"),
        ({}, replace(RULES, auto_rollback=False), "watchdog.auto_rollback is off"),
    ],
)
def test_what_cannot_be_rolled_back_is_a_persons_business(facts: dict[str, Any], rules: Rules, obstacle: str) -> None:
    rules = replace(rules, window=3600)
    looks = [look(seen(ill="it is gone"), now=NOW + 200 * number, **facts) for number in range(7)]
    last = passes(looks, rules)[-1]
    assert last.acts == ()
    assert last.problems == (
        f"v2 cannot be healed: mymodel-v2-green-1 was repaired 5 times and is down again: it is gone, and {obstacle}",
    )


def test_a_stable_version_with_something_left_is_not_given_up() -> None:
    looks = [look(seen(1), seen(2, ill="it is gone"), now=NOW + 200 * number) for number in range(7)]
    last = passes(looks, replace(RULES, window=3600))[-1]
    assert last.acts == ()
    assert last.problems == ("v2 is degraded: mymodel-v2-green-2 was repaired 5 times and is down again: it is gone",)


def test_one_that_ends_again_and_again_is_bad_even_if_it_answers_now() -> None:
    found = passes([look(seen(died=count), now=NOW + 10 * count) for count in range(8)])
    assert [kinds(decision) for decision in found] == [[]] * 5 + [["roll-back"]] * 3
    assert found[5].acts[0].why == "v2 cannot be healed: mymodel-v2-green-1 ended 5 times within 600 s"


def test_deaths_of_long_ago_do_not_count() -> None:
    assert passes([look(seen(died=900))])[0].acts == ()
    slow = passes([look(seen(died=count), now=NOW + 300 * count) for count in range(20)])
    assert all(decision.acts == () for decision in slow)
    assert deaths(slow[-1].memory, 1) <= 3


def test_a_container_that_was_made_anew_has_not_died() -> None:
    found = passes([look(seen(died=4)), look(seen(died=0), now=NOW + 1), look(seen(died=1), now=NOW + 2)])
    assert deaths(found[-1].memory, 1) == 1


def test_starting_takes_its_time() -> None:
    booting = seen(misses="3 of 3 probes failed", fresh=True, started=5.0)
    first = decide(look(booting), Memory(7), RULES)
    assert (first.acts, first.waiting) == ((), ("mymodel-v2-green-1 is starting: 3 of 3 probes failed",))
    # It has been ready since that start: then it hangs, and does not boot.
    hung = passes([look(seen(fresh=True, started=5.0)), look(booting, now=NOW + 1)])[1]
    assert kinds(hung) == ["repair 1"]
    again = passes([look(seen(fresh=True, started=5.0)), look(replace(booting, started=9.0), now=NOW + 1)])[1]
    assert again.acts == ()


def test_one_that_works_on_a_request_may_miss_its_probes() -> None:
    working = seen(misses="3 of 3 probes failed", open=1)
    rules = replace(RULES, busy=120.0)
    found = passes([look(working, now=NOW + seconds) for seconds in (0, 60, 119, 120)], rules)
    assert [kinds(decision) for decision in found] == [[], [], [], ["repair 1"]]
    idle = decide(look(replace(working, open=0)), Memory(7), rules)
    assert kinds(idle) == ["repair 1"]


# --- a version that bakes ------------------------------------------------------------------------------------------

UNTIL = NOW + 120


def test_a_bake_ends_when_its_time_is_up() -> None:
    found = passes([look(now=NOW + at, bake_until=UNTIL) for at in (0, 119, 120)])
    assert [kinds(decision) for decision in found] == [[], [], ["promote"]]


def test_a_bake_without_traffic_ends_well() -> None:
    little = Opinion("inconclusive", "3 requests, 100 are needed to judge")
    decision = decide(look(now=UNTIL, bake_until=UNTIL, traffic=little), Memory(7), RULES)
    assert decision.acts == (Act("promote", "3 requests, 100 are needed to judge"),)


@pytest.mark.parametrize("at", [0, 119, 120, 500])
def test_bad_traffic_goes_back_at_once(at: float) -> None:
    decision = decide(look(now=NOW + at, bake_until=UNTIL, traffic=BAD), Memory(7), RULES)
    assert decision.acts == (Act("roll-back", "v2 went bad while baking: 30.0% of 400 requests failed"),)


def test_a_container_that_hangs_while_baking_goes_back_at_once() -> None:
    decision = decide(look(seen(1), seen(2, misses="3 of 3 probes failed"), bake_until=UNTIL), Memory(7), RULES)
    assert kinds(decision) == ["roll-back"]


def test_one_that_was_paused_by_somebody_is_only_woken_up() -> None:
    decision = decide(look(seen(ill="it is paused"), bake_until=UNTIL), Memory(7), RULES)
    assert kinds(decision) == ["repair 1"]


def test_few_deaths_are_enough_while_baking() -> None:
    found = passes([look(seen(died=count), now=NOW + count, bake_until=UNTIL) for count in range(4)])
    assert [kinds(decision) for decision in found] == [[], [], [], ["roll-back"]]
    assert kinds(passes([look(seen(died=3), bake_until=UNTIL)])[0]) == ["roll-back"], "all of them are of this bake"


def test_a_bake_is_extended_until_all_are_well() -> None:
    looks = [look(seen(ill="it is gone"), now=UNTIL, bake_until=UNTIL), look(now=UNTIL + 5, bake_until=UNTIL)]
    first, second = passes(looks)
    assert kinds(first) == ["repair 1"]
    assert first.waiting == ("the bake of v2 is extended until all its containers are healthy",)
    assert kinds(second) == ["promote"]


def test_bad_traffic_of_a_first_version_is_told_and_its_containers_are_looked_after() -> None:
    decision = decide(look(seen(ill="it is gone"), bake_until=UNTIL, traffic=BAD, target=None), Memory(7), RULES)
    assert kinds(decision) == ["repair 1"]
    assert decision.problems == (
        "v2 went bad while baking: 30.0% of 400 requests failed, and there is no stable version to roll back to",
    )


def test_a_proxy_that_brings_nothing_through_is_told() -> None:
    told = decide(look(unreachable="the proxy does not bring requests"), Memory(7), RULES)
    assert told.problems == ("the proxy does not bring requests",)


def test_another_deployment_begins_with_a_clean_slate() -> None:
    stored = passes([look(seen(ill="it is gone"))])[0].memory.to_json()
    assert Memory.from_json(stored, 8) == Memory(8)
    assert Memory.from_json({}, 8) == Memory(8)


def test_a_clock_that_is_set_back_stops_nothing_for_a_day() -> None:
    down = seen(ill="it is gone")
    found = passes([look(down), look(down, now=NOW - 86_400), look(down, now=NOW - 86_400 + 11)])
    assert [kinds(decision) for decision in found] == [["repair 1"], [], ["repair 1"]]


# --- the invariant -------------------------------------------------------------------------------------------------

REPLICAS = st.builds(
    Seen,
    index=st.just(1),
    name=st.just("x"),
    ill=st.sampled_from(["", "", "it is gone"]),
    misses=st.sampled_from(["", "", "3 of 3 probes failed"]),
    open=st.integers(0, 2),
    died=st.integers(0, 9),
    fresh=st.booleans(),
    started=st.floats(0, 10),
)
LOOKS = st.builds(
    Look,
    now=st.floats(NOW, NOW + 2000),
    version=st.just("v2"),
    replicas=st.lists(REPLICAS, min_size=1, max_size=4).map(
        lambda found: tuple(replace(each, index=number, name=f"c{number}") for number, each in enumerate(found, 1))
    ),
    traffic=st.sampled_from([Opinion("good"), Opinion("inconclusive"), BAD]),
    bake_until=st.none() | st.floats(NOW, NOW + 2000),
    target=st.none() | st.just("v1"),
    cooling_until=st.floats(0, NOW + 2000),
)


@given(st.lists(LOOKS, min_size=1, max_size=8), st.booleans())
def test_no_story_takes_a_healthy_container_away(looks: list[Look], auto_rollback: bool) -> None:
    rules = replace(RULES, auto_rollback=auto_rollback, busy=30.0)
    for each, decision in zip(looks, passes(looks, rules), strict=True):
        check(each, decision)
        tried = [act.kind for act in decision.acts]
        # A way back is taken alone, only where there is one, and never within the cool-down.
        if "roll-back" in tried:
            assert tried == ["roll-back"]
            assert auto_rollback
            assert each.target is not None
            assert each.now >= each.cooling_until
        if "promote" in tried:
            assert each.bake_until is not None
            assert each.now >= each.bake_until
            assert all(replica.healthy for replica in each.replicas)
            assert each.traffic.verdict != "bad"


def test_the_invariant_is_checked() -> None:
    with pytest.raises(ValueError, match="replica 1 of v2 is healthy"):
        check(look(), Decision((Act("repair", "why", 1),), (), (), Memory(7)))
