"""Looks at rollouts with fakes: they advance, finish, wait or are aborted, by a pass or by a command that waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import DeploymentFailed, Interrupted, UsageError
from orchestrator.release.promote import hold, resume
from orchestrator.reports.status import StatusReport, status
from orchestrator.watch.canary import follow_rollout
from tests.fakes.world import APP, World
from tests.unit.stage import Stage

CANARY = 'strategy = "canary"\nstages = ["10% 5m", "50% 5m"]'
FAST, SLOW = "30/4", "30/5"  # 3 and 30 ms


def v1_live(world: World) -> None:
    world.release("v1")
    serve(world, "blue", 1000)


def v2_at_10(world: World) -> None:
    v1_live(world)
    world.rollout = CANARY
    world.release("v2")


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world(v2_at_10)


def serve(world: World, slot: Slot, requests: int, failures: int = 0, *, rescued: int = 0, time: str = FAST) -> None:
    """Counts answers of a slot."""
    before = world.proxy.counted.get((APP, slot), Sample(0, 0, 0, {}))
    times = {**before.times, time: before.times.get(time, 0) + requests - failures}
    counted = (before.requests + requests, before.failures + failures, before.rescued + rescued)
    world.proxy.counted[APP, slot] = Sample(*counted, times)


def both(world: World, requests: int, share: float) -> None:
    serve(world, "blue", round(requests * (1 - share)))
    serve(world, "green", round(requests * share))


def rollout(world: World) -> Rollout | None:
    return world.ledger.open_rollout(APP)


def last(world: World) -> Rollout:
    return world.ledger.rollouts(APP)[0]


def report(world: World) -> StatusReport:
    return status(world.process(), APP, "")


def test_a_candidate_gets_its_first_share(world: World) -> None:
    assert world.ledger.traffic(APP) == TrafficState("blue", "green", 1000, shield=True, patience=30.0)
    assert world.live() == ("v1", "blue")
    begun = report(world)
    assert begun.state == "canary"
    assert begun.candidate is not None and begun.rollout is not None
    assert (begun.candidate.version, begun.candidate.slot, begun.candidate.share) == ("v2", "green", 10.0)
    assert (begun.rollout.stage, begun.rollout.stages, begun.rollout.share) == (1, ("10% 5m", "50% 5m"), 10.0)
    assert begun.rollout.next_at is not None
    assert {row.verdict for row in begun.rollout.evidence} == {"inconclusive"}
    # What is slow is what the live version seldom was before.
    assert last(world).evidence.slow == pytest.approx(0.0031)


def test_a_stage_ends_when_its_time_is_over(world: World) -> None:
    both(world, 100, 0.1)
    world.time += 200
    passed = world.watch()
    assert (passed.outcome, passed.done) == ("healthy", [])
    world.time += 101
    passed = world.watch()
    assert passed.done == ["v2 gets 50 % of the requests: stage 1 of 2 is over"]
    assert world.ledger.traffic(APP).share == 5000
    both(world, 40, 0.5)
    world.time += 301
    passed = world.watch()
    assert passed.done[0] == "v2 gets all requests: stage 2 of 2 is over"
    assert passed.events == [("released", passed.done[0], "v2 is live")]
    assert world.live() == ("v2", "green")
    assert rollout(world) is None
    assert (last(world).outcome, last(world).why) == ("promoted", "stage 2 of 2 is over")
    assert [row.kind for row in world.ledger.deployments(APP, 3)] == ["promote", "promote", "release"]
    assert world.ledger.slots(APP)["blue"].state == "warm"
    assert world.ledger.traffic(APP) == TrafficState("green", shield=True, patience=30.0)


def test_a_stage_ends_early_only_by_evidence_of_its_own(world: World) -> None:
    both(world, 2000, 0.1)
    world.time += 1
    assert world.watch().done == ["v2 gets 50 % of the requests: v2 is proven good"]
    both(world, 20, 0.5)
    world.time += 1
    assert world.watch().done == []
    both(world, 400, 0.5)
    assert world.watch().done[0] == "v2 gets all requests: v2 is proven good"


@pytest.mark.parametrize(
    ("count", "why"),
    [
        (lambda world: serve(world, "green", 20, 20, rescued=20), "100.0% of 20 requests failed; at most 5.0% may"),
        (
            # Each is within the absolute limit.
            lambda world: (serve(world, "blue", 90_000, 900), serve(world, "green", 10_000, 400)),
            "4.0% of 10,000 requests failed, and 1.0% of 90,000 requests to the live version in the same period",
        ),
        (
            lambda world: (serve(world, "blue", 900), serve(world, "green", 100, time=SLOW)),
            "100.0% of 100 requests had a slow response, and 0.0% of 900 requests to the live version in the same",
        ),
    ],
    ids=["fails", "fails more often", "slower"],
)
def test_a_bad_candidate_is_aborted(world: World, count: Callable[[World], object], why: str) -> None:
    count(world)
    passed = world.watch()
    assert passed.done[0].startswith(f"v2 was aborted at 10 %: {why}")
    assert [(event.notice, event.title) for event in passed.events] == [
        ("rolled back", "v2 was aborted; v1 has all requests")
    ]
    assert world.ledger.traffic(APP) == TrafficState("blue")
    assert (world.live(), world.served()) == (("v1", "blue"), "v1")
    bad = world.ledger.versions(APP)["v2"]
    assert bad.bad_at is not None and bad.bad_why.startswith(why)
    assert (last(world).outcome, rollout(world)) == ("aborted", None)
    [kept] = [container for container in world.workloads.containers(APP) if container.version == "v2"]
    assert not kept.running
    assert world.watch().outcome == "healthy"


@pytest.mark.parametrize(("time", "slow"), [("13/5", False), ("14/5", True)], ids=["10 ms more", "11 ms more"])
def test_a_few_milliseconds_are_never_slow(world: World, time: str, slow: bool) -> None:
    serve(world, "blue", 900)
    serve(world, "green", 100, time=time)
    assert bool(world.watch().events) == slow


def test_what_slows_both_versions_down_is_not_held_against_one(stage: Stage) -> None:
    world = stage.world(v1_live)
    world.rollout = CANARY + "\napprove = true"
    world.release("v2")
    for _ in range(20):
        serve(world, "blue", 90, time=SLOW)
        serve(world, "green", 10, time=SLOW)
        assert world.watch().events == []
    assert rollout(world) is not None


@pytest.mark.parametrize("how", ["exited", "restarted", "removed"])
def test_a_candidate_that_died_is_aborted(world: World, how: str) -> None:
    [container] = [each for each in world.workloads.containers(APP) if each.version == "v2"]
    if how == "exited":
        world.engine.change(container, state="exited", exit_code=137)
    elif how == "restarted":
        world.engine.change(container, restarts=1, exit_code=1)
    else:
        world.workloads.remove(container)
    passed = world.watch()
    assert len(passed.events) == 1, passed
    assert last(world).outcome == "aborted"
    assert world.served() == "v1"


def test_a_stage_without_requests_is_held_or_goes_on(world: World) -> None:
    world.time += 301
    passed = world.watch()
    assert passed.done == []
    assert "v2 got no request yet" in passed.waiting[0]
    world.more = '[judge]\nidle = "advance"\n'
    waited = follow_after(world, 0)
    assert waited == ["v2 gets 50 % of the requests: stage 1 of 2 is over, and v2 got no request in it"]


def follow_after(world: World, seconds: float) -> list[str]:
    """One look of an attached command, which is then interrupted."""
    services = world.process()
    world.time += seconds
    object.__setattr__(services, "sleep", lambda seconds: services.interrupts._received(2, None))
    with pytest.raises(Interrupted):
        follow_rollout(services, world.config(), lambda text: None)
    return [text for text in world.reports.notes if text.startswith("v2 ")]


def test_with_approval_each_stage_waits_for_a_person(stage: Stage) -> None:
    world = stage.world(v1_live)
    world.rollout = CANARY + "\napprove = true"
    world.release("v2")
    both(world, 200, 0.1)
    world.time += 301
    assert "waits for 'deployctl promote'" in world.watch().waiting[0]
    world.promote()
    assert world.ledger.traffic(APP).share == 5000
    world.promote()
    assert world.live() == ("v2", "green")


def test_a_held_rollout_stays_until_it_is_resumed(world: World) -> None:
    services = world.process()
    assert hold(services, world.config()).held
    assert report(world).state == "held"
    both(world, 2000, 0.1)
    world.time += 1000
    assert world.watch().done == []
    assert world.ledger.traffic(APP).share == 1000
    assert resume(world.process(), world.config()).held == ""
    assert world.watch().done == ["v2 gets 50 % of the requests: stage 1 of 2 is over"]
    kinds = [event.kind for event in world.ledger.newest_events(APP, 20)]
    assert "rollout-held" in kinds and "rollout-resumed" in kinds


def test_a_held_rollout_is_still_aborted(world: World) -> None:
    hold(world.process(), world.config())
    serve(world, "green", 20, 20)
    assert [kind for kind, *_ in world.watch().events] == ["rolled back"]


def test_a_preview_waits_for_a_person(stage: Stage) -> None:
    world = stage.world(v1_live)
    with pytest.raises(UsageError, match=r"proxy\.preview"):
        world.preview("v2")
    world.listen = '127.0.0.1:8000"\npreview = "127.0.0.1:8001'
    world.preview("v2")
    assert world.ledger.traffic(APP) == TrafficState("blue", "green", preview=True)
    assert report(world).state == "preview"
    # Whoever asks it is not a client.
    serve(world, "green", 20, 20)
    world.time += 10_000
    assert world.watch().done == []
    world.promote()
    assert world.live() == ("v2", "green")


def test_a_second_release_is_refused_while_there_is_a_candidate(world: World) -> None:
    with pytest.raises(UsageError, match="v2 is a candidate"):
        world.release("v3")
    assert world.ledger.traffic(APP).share == 1000


@pytest.mark.parametrize("command", ["promote", "abort", "hold", "resume"])
def test_without_a_candidate_there_is_nothing_to_decide(stage: Stage, command: str) -> None:
    world = stage.world(v1_live)
    run: dict[str, Callable[[], object]] = {
        "promote": world.promote,
        "abort": world.abort,
        "hold": lambda: hold(world.process(), world.config()),
        "resume": lambda: resume(world.process(), world.config()),
    }
    with pytest.raises(UsageError, match="has no candidate"):
        run[command]()


def test_a_command_that_waits_sees_the_rollout_through(world: World) -> None:
    services = world.process()
    sleep = services.sleep

    def served(seconds: float) -> None:
        both(world, 100, world.ledger.traffic(APP).share / 10_000)
        sleep(seconds)

    object.__setattr__(services, "sleep", served)
    said: list[str] = []
    follow_rollout(services, world.config(), said.append)
    assert last(world).outcome == "promoted"
    assert world.live() == ("v2", "green")
    assert said[0] == "v2 gets 10 %: v2 got no request yet; stage 1 of 2 ends in 300 s"


def test_a_command_that_waits_fails_when_somebody_aborts(world: World) -> None:
    services = world.process()
    sleep = services.sleep

    def aborted(seconds: float) -> None:
        if rollout(world) is not None:
            ledgers = world.ledgers
            world.abort("wrong labels")
            world.ledgers = [*ledgers, world.ledgers[-1]]
        sleep(seconds)

    object.__setattr__(services, "sleep", aborted)
    with pytest.raises(DeploymentFailed, match="v2 was aborted; v1 has all requests") as caught:
        follow_rollout(services, world.config(), lambda text: None)
    assert caught.value.why == "wrong labels"
    assert world.ledger.versions(APP)["v2"].bad_at is None, "a person's decision says nothing about the version"


def test_a_rollback_takes_the_candidate_back(world: World) -> None:
    result = world.rollback()
    assert (result.version, result.previous) == ("v1", "v2")
    assert world.ledger.traffic(APP) == TrafficState("blue")


def test_what_is_slow_is_learned_when_it_was_not_known(stage: Stage) -> None:
    world = stage.world(lambda world: world.release("v1"))
    world.rollout = CANARY
    world.release("v2")
    assert last(world).evidence.slow == 0
    both(world, 500, 0.1)
    world.watch()
    assert last(world).evidence.slow == pytest.approx(0.0031)
    [past] = last(world).evidence.past
    assert (past.candidate.requests, past.old.requests, past.candidate.slow) == (50, 450, 0)
    serve(world, "blue", 900)
    serve(world, "green", 100, time=SLOW)
    assert "66.7% of 150 requests had a slow response" in world.watch().done[0]


@pytest.mark.parametrize(("blue", "green"), [(500, 500), (5000, 100)], ids=["too much", "too little"])
def test_a_wrong_share_is_reported(stage: Stage, blue: int, green: int) -> None:
    world = stage.world(v1_live)
    world.rollout = CANARY + "\napprove = true"
    world.release("v2")
    serve(world, "blue", blue)
    serve(world, "green", green)
    passed = world.watch()
    assert any("which is not its share" in problem for problem in passed.problems), passed.problems
    assert rollout(world) is not None, "the fault is not the candidate's"


def test_a_long_stage_is_judged_in_parts(stage: Stage) -> None:
    world = stage.world(v1_live)
    world.rollout = 'strategy = "canary"\nstages = ["10% 1h"]\napprove = true'
    world.release("v2")
    for _ in range(4):
        both(world, 20, 0.1)
        world.time += 301
        world.watch()
    assert [part.candidate.requests for part in last(world).evidence.past] == [2, 2, 2, 2]
