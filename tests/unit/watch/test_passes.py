"""Passes of the watchdog with fakes: unhealthy containers are repaired, bad versions are rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import parse
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import EngineUnreachable, UsageError
from orchestrator.reports.status import TrafficShares, status
from orchestrator.reports.versions import lineage
from orchestrator.watch.acts import Event
from orchestrator.watch.passes import watched
from tests.chaos import FULL
from tests.fakes.world import APP, Crash, World
from tests.unit.stage import Stage


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world(two_releases)


def two_releases(world: World) -> None:
    world.release("v1")
    world.release("v2")


def baking(world: World) -> None:
    world.bake, world.keep_warm = "2m", "0s"
    world.release("v3")


def serve(world: World, requests: int, errors: int = 0, rescued: int = 0, bucket: str = "10/5") -> None:
    """Counts requests of the live slot: `10/5` is a response time of 10 ms."""
    live = world.live()
    assert live is not None
    before = world.proxy.counted.get((APP, live[1]), Sample(0, 0, 0, {}))
    world.proxy.counted[APP, live[1]] = Sample(
        before.requests + requests,
        before.failures + errors,
        before.rescued + rescued,
        {**before.times, bucket: before.times.get(bucket, 0) + requests - errors},
    )


def kill(world: World) -> None:
    live = world.live()
    assert live is not None
    for container in world.workloads.containers(APP):
        if (container.version, container.slot) == live:
            world.engine.change(container, state="exited", exit_code=137)


def test_a_pass_over_a_healthy_app_changes_and_reports_nothing(world: World) -> None:
    before = world.facts()
    passed = world.watch()
    assert (passed.outcome, passed.new_messages, passed.events, passed.version) == ("healthy", [], [], "v2")
    assert world.facts() == before
    assert [row.outcome for row in world.ledger.passes(APP, 5)] == ["healthy"]
    assert world.ledger.counts(APP) == {"pass:healthy": 1}


def test_an_app_without_a_release_is_refused(worlds: Callable[[], World]) -> None:
    world = worlds()
    with pytest.raises(UsageError):
        world.watch()


def test_a_container_that_ended_is_started_again(world: World) -> None:
    kill(world)
    passed = world.watch()
    assert passed.outcome == "acted"
    assert passed.done == ["mymodel-v2-green-1 started again: it exited with exit code 137"]
    assert passed.events == [Event("healed", passed.done[0])]
    assert world.served() == "v2"
    assert world.watch().outcome == "healthy"
    assert world.ledger.counts(APP)["healed"] == 1


def test_a_container_that_hangs_is_restarted(world: World) -> None:
    world.prober.silent.add("v2")
    passed = world.watch()
    assert passed.done == [
        "mymodel-v2-green-1 restarted: 3 of 3 probes failed, last: connection refused",
    ]
    world.prober.silent.clear()
    assert world.watch().outcome == "healthy"


def test_while_nothing_answers_no_pass_is_good(world: World) -> None:
    world.prober.silent.add("v2")
    first, second = world.watch(), world.watch()
    # It was restarted, and does not answer yet.
    assert (first.outcome, first.good) == ("degraded", False)
    assert first.waiting == ["mymodel-v2-green-1 does not answer yet"]
    assert (second.outcome, second.done) == ("degraded", [])
    assert [text.partition(":")[0] for text in second.new_messages] == ["v2 does not answer"]
    assert [kind for kind, *_ in second.events] == ["degraded"]
    third = world.watch()
    assert (third.outcome, third.new_messages, third.events) == ("degraded", [], [])
    world.prober.silent.clear()
    assert world.watch().new_messages == ["mymodel has recovered"]


def test_a_repair_that_fails_is_known_while_a_pass_waits(world: World) -> None:
    (container,) = [each for each in world.workloads.containers(APP) if each.version == "v2"]
    world.workloads.remove(container)
    del world.engine.images["mymodel:v2"]
    said = []
    for _ in range(6):
        passed = world.watch()
        assert (passed.outcome, passed.good) == ("degraded", False)
        said += passed.new_messages
        world.time += 4
    assert [text.partition(":")[0] for text in said] == ["mymodel-v2-green-1", "v2 does not answer"]


def test_a_pass_with_a_problem_names_the_variables_that_it_does_not_have(world: World) -> None:
    world.host.environ = {"DEPLOYCTL_LEFT_OUT": "HTTPS_PROXY,AWS_SESSION_TOKEN", "HTTPS_PROXY": ""}
    assert world.watch().problems == []
    world.prober.unready.add("v2")
    problem = world.watch().problems[-1]
    assert problem.startswith("not available in this pass: AWS_SESSION_TOKEN, set when the schedule was installed")
    assert world.watch().new_messages == []


def test_one_of_two_that_is_down_keeps_a_pass_from_being_good(worlds: Callable[[], World]) -> None:
    world = worlds()
    world.replicas = 2
    world.release("v1")
    (first, _) = world.workloads.containers(APP)
    world.workloads.remove(first)
    del world.engine.images["mymodel:v1"]
    assert world.watch().outcome == "degraded"
    waiting = world.watch()
    assert (waiting.outcome, waiting.new_messages) == ("degraded", [])
    assert waiting.waiting == ["mymodel-v1-blue-1: it was removed; next attempt in 10 s"]


def test_a_model_that_is_not_ready_is_reported_and_not_restarted(world: World) -> None:
    world.prober.unready.add("v2")
    for _ in range(20):
        passed = world.watch()
        assert (passed.outcome, passed.done) == ("degraded", [])
        assert passed.problems[0].startswith("mymodel-v2-green-1 is not ready: 3 of 3 probes failed, last: HTTP 503")
        world.time += 25
    assert world.engine.restarted == []
    assert world.live() == ("v2", "green")
    world.prober.unready.clear()
    assert world.watch().new_messages == ["mymodel has recovered"]


def live_container(world: World) -> Container:
    (found,) = [each for each in world.workloads.containers(APP) if each.version == "v2"]
    return found


def test_a_restart_by_the_engine_is_reported_once(world: World) -> None:
    name = live_container(world).name
    world.watch()
    world.time += 60
    world.engine.change(live_container(world), restarts=1)
    world.engine.memory_kills[name] = [world.timestamp() - 30]
    passed = world.watch()
    assert passed.seen == [f"{name} exited once, and the engine restarted it: out of memory once"]
    assert (passed.outcome, passed.new_messages) == ("healthy", passed.seen)
    assert passed.events == [Event("healed", passed.seen[0])]
    again = world.watch()
    assert (again.seen, again.new_messages) == ([], [])


def test_a_container_that_keeps_ending_is_reported_once(worlds: Callable[[], World]) -> None:
    world = worlds()
    world.release("v1")
    (container,) = world.workloads.containers(APP)
    said = []
    for number in range(1, 20):
        world.time += 60
        started = world.timestamp() - 1
        world.engine.change(container, state="restarting", exit_code=3, restarts=3 * number, started_at=started)
        passed = world.watch()
        assert passed.outcome == "degraded"
        said.append([text.partition(":")[0] for text in passed.new_messages])
    assert said[0] == ["mymodel-v1-blue-1 exited 3 times, and the engine restarted it", "v1 does not answer"]
    assert said[1] == ["v1 cannot be repaired"]
    assert all(texts == [] for texts in said[2:])
    assert world.engine.restarted == []
    kinds = [event.kind for event in world.ledger.newest_events(APP, 100)]
    assert (kinds.count("ended"), kinds.count("degraded")) == (1, 2)


def test_a_process_that_ran_out_of_memory_in_a_container_that_goes_on_is_reported(
    worlds: Callable[[], World],
) -> None:
    world = worlds()
    world.run = 'memory = "64m"'
    world.release("v2")
    (name,) = (container.name for container in world.workloads.containers(APP))
    world.engine.memory_kills[name] = [world.timestamp() - 5, world.timestamp() + 30, world.timestamp() + 50]
    assert world.watch().seen == [], "that was before the version went live"
    world.time += 60
    assert world.watch().seen == [f"{name}: out of memory 2 times; the kernel killed a process in it"]
    assert world.watch().seen == []


def test_the_first_pass_counts_what_happened_since_the_version_went_live(world: World) -> None:
    world.time += 20
    world.engine.change(live_container(world), restarts=6, started_at=world.timestamp())
    passed = world.watch()
    assert passed.seen == ["mymodel-v2-green-1 exited 6 times, and the engine restarted it"]
    assert passed.done == [
        "v2 rolled back to v1: v2 cannot be repaired: mymodel-v2-green-1 exited 6 times within 600 s"
    ]
    assert world.served() == "v1"
    (ended,) = [event for event in world.ledger.newest_events(APP, 100) if event.kind == "ended"]
    assert json.loads(ended.detail) == {"version": "v2", "what": passed.seen[0]}


def test_the_first_pass_after_a_switch_back_does_not_count_what_was_before(world: World) -> None:
    (old,) = [each for each in world.workloads.containers(APP) if each.version == "v1"]
    world.engine.change(old, restarts=9, started_at=world.timestamp() - 60)
    world.time += 5
    world.rollback()
    assert world.live() == ("v1", "blue")
    assert world.watch().seen == []
    world.time += 20
    world.engine.change(old, restarts=10, started_at=world.timestamp())
    assert world.watch().seen == ["mymodel-v1-blue-1 exited once, and the engine restarted it"]


def test_the_live_path_decides_whether_a_process_lives(stage: Stage) -> None:
    world = stage.world(with_live_path)
    world.prober.unready.add("v2")
    world.prober.lives["v2"] = 200
    assert world.watch().done == []
    world.prober.silent.add("v2")  # no answer on the health path
    assert world.watch().done == []
    world.prober.lives["v2"] = 404
    assert world.watch().done == [], "a wrong path is an answer, too"
    world.prober.lives["v2"] = 500
    assert "/livez: 3 of 3 probes failed, last: HTTP 500" in world.watch().done[0]
    assert world.engine.restarted == ["mymodel-v2-green-1"]


def with_live_path(world: World) -> None:
    world.more = '[health]\nlive_path = "/livez"\n'
    two_releases(world)


def test_a_busy_model_is_not_restarted(world: World) -> None:
    world.prober.silent.add("v2")
    world.proxy.open[APP, "green"] = 1
    passed = world.watch()
    assert (passed.outcome, passed.done, passed.new_messages) == ("healthy", [], [])
    assert passed.waiting[0].startswith("mymodel-v2-green-1 is busy with 1 request: 3 of 3 probes failed")
    for _ in range(30):
        world.time += 550
        world.proxy.answered[APP, "green"] = world.proxy.answered.get((APP, "green"), 0) + 1
        assert world.watch().good
    world.time += 600
    assert world.watch().done == ["mymodel-v2-green-1 restarted: 3 of 3 probes failed, last: connection refused"]


def test_no_request_is_busy_for_longer_than_the_proxy_waits(stage: Stage) -> None:
    world = stage.world(with_a_short_timeout)
    world.prober.silent.add("v2")
    world.proxy.open[APP, "green"] = 1
    assert world.watch().done == []
    world.time += 5
    assert world.engine.restarted == []
    world.watch()
    assert world.engine.restarted == ["mymodel-v2-green-1"]


def with_a_short_timeout(world: World) -> None:
    world.timeout = "5s"
    two_releases(world)


def test_a_version_that_cannot_be_healed_is_rolled_back_and_marked(world: World) -> None:
    world.prober.silent.add("v2")
    outcomes = []
    for _ in range(40):
        passed = world.watch()
        outcomes.append(passed.outcome)
        if world.live() == ("v1", "blue"):
            break
        world.time += 30
    assert world.live() == ("v1", "blue")
    assert world.served() == "v1"
    assert len(world.engine.restarted) == 5
    why = (
        "v2 cannot be repaired: mymodel-v2-green-1 was repaired 5 times and is down again: 3 of 3 probes failed,"
        " last: connection refused"
    )
    assert Event("rolled back", f"v2 rolled back to v1: {why}", "v2 rolled back to v1") in passed.events
    newest = world.ledger.deployments(APP, 1)[0]
    assert (newest.kind, newest.outcome, newest.reason, newest.actor) == (
        "auto-rollback",
        "succeeded",
        why,
        "watchdog",
    )
    assert world.ledger.versions(APP)["v2"].bad_why == why
    (root,) = lineage(world.process(), APP).versions
    assert root.children[0].mark == "bad"
    with pytest.raises(UsageError, match="v2 is marked bad"):
        world.release("v2")
    world.prober.silent.clear()
    world.release("v2", force=True)
    assert world.ledger.versions(APP)["v2"].bad_at is None
    assert world.watch().outcome == "healthy"


def test_the_cool_down_forbids_a_second_rollback(world: World) -> None:
    world.release("v3")
    world.prober.silent.add("v3")
    for _ in range(30):
        world.watch()
        world.time += 15
        if world.live() == ("v2", "green"):
            break
    assert world.live() == ("v2", "green")
    world.prober.silent.add("v2")
    rolled = world.time
    while world.time < rolled + 550:
        passed = world.watch()
        world.time += 15
    assert world.live() == ("v2", "green"), "the cool-down forbids the rollback to v1"
    assert passed.outcome == "degraded"
    assert "too recent" in passed.problems[0]
    while world.time < rolled + 800 and world.live() == ("v2", "green"):
        world.watch()
        world.time += 15
    assert world.live() == ("v1", "blue")


def test_a_problem_is_reported_once(world: World) -> None:
    def refuse(name: str) -> None:
        if name.startswith(("workloads.", "access.", "images.")):
            raise EngineUnreachable("the Docker engine does not answer", hint="is it running?")

    world.faults.watch = refuse
    first, second = world.watch(), world.watch()
    assert (first.outcome, second.outcome) == ("failed", "failed")
    assert first.new_messages == ["the Docker engine does not answer; next: is it running?"]
    assert [kind for kind, *_ in first.events] == ["degraded"]
    assert (second.new_messages, second.events) == ([], [])
    world.faults.watch = lambda name: None
    back, after = world.watch(), world.watch()
    assert back.new_messages == ["mymodel has recovered"]
    assert back.events == [Event("recovered", "mymodel has recovered")]
    assert (after.new_messages, after.outcome) == ([], "healthy")


def test_a_pass_is_skipped_while_another_command_holds_the_lock(world: World) -> None:
    kill(world)
    with world.process().locks.app(APP):
        passed = world.watch()
    assert (passed.outcome, passed.new_messages) == ("skipped", [])
    assert world.ledger.counts(APP) == {"skipped": 1}
    assert world.ledger.passes(APP, 5) == []


def test_an_interrupted_release_is_undone_by_a_pass(world: World) -> None:
    def crash(when: str, step: str) -> None:
        if (when, step) == ("acted", "start"):
            raise Crash

    world.boundary = crash
    with pytest.raises(Crash):
        world.release("v3")
    world.boundary = lambda when, step: None
    passed = world.watch()
    assert passed.done == ["the interrupted deployment 3 was undone"]
    assert world.served() == "v2"
    assert world.watch().outcome == "healthy"


# --- a version that bakes ------------------------------------------------------------------------------------------


def test_a_bake_keeps_the_old_version_warm_and_ends(world: World) -> None:
    baking(world)
    assert status(world.process(), APP, "").state == "baking"
    assert world.traffic.running(APP).fallback == "green"
    world.time += 119
    assert world.watch().outcome == "healthy"
    report = status(world.process(), APP, "")
    assert report.previous is not None
    assert (report.state, report.previous.rollback.mode) == ("baking", "switch")
    assert report.traffic == TrafficShares("blue", None, 0.0, shield=True, preview=False, held=False)
    assert world.ledger.versions(APP)["v3"].stable_at is None
    world.time += 2
    serve(world, 5)
    passed = world.watch()
    assert passed.done == ["v3 is stable: its bake is over (0 of 5 requests failed)"]
    assert world.ledger.versions(APP)["v3"].stable_at is not None
    # It answers what v3 fails until it is stopped.
    assert world.traffic.running(APP).fallback == "green"
    assert status(world.process(), APP, "").state == "stable"
    assert world.watch().done == ["v2 stopped: its rollout.keep_warm time is over"]
    assert world.traffic.running(APP) == TrafficState("blue")


@pytest.mark.parametrize("rescued", [0, 300])
def test_bad_traffic_is_rolled_back(world: World, rescued: int) -> None:
    """Also when no client has seen it, because the old version answered instead."""
    serve(world, 5_000, 10)
    baking(world)
    serve(world, 1_000, 300, rescued)
    passed = world.watch()
    assert world.live() == ("v2", "green")
    assert world.served() == "v2"
    assert world.traffic.running(APP).fallback is None
    why = "v3 failed its bake: 30.0% of 1,000 requests failed; at most 5.0% may fail"
    assert passed.events[0] == Event("rolled back", f"v3 rolled back to v2: {why}", "v3 rolled back to v2")
    view = passed.view
    assert view is not None
    assert (view.new.lost, view.new.rescued) == (300 - rescued, rescued)
    # Its traffic was only in green's first 5,000 requests.
    assert view.old is not None
    assert (view.old.requests, view.old.failures) == (5_000, 10)
    assert world.ledger.versions(APP)["v3"].bad_at is not None
    assert world.watch().outcome == "healthy"


def test_response_times_of_a_bake_are_shown_and_not_judged(world: World) -> None:
    """No other version runs at the same time, so what slows all of them down would speak against the new one."""
    serve(world, 5_000, 10)
    baking(world)
    serve(world, 1_000, 0, bucket="20/6")
    passed = world.watch()
    assert passed.outcome == "healthy"
    assert world.live() == ("v3", "blue")
    view = passed.view
    assert view is not None
    assert str(view.new) == "0.0% of 1,000 requests failed, 205 ms on average"


def test_few_failures_of_few_requests_are_no_evidence(world: World) -> None:
    baking(world)
    serve(world, 3, 1)
    passed = world.watch()
    assert passed.outcome == "healthy"
    world.time += 121
    assert world.watch().done == ["v3 is stable: its bake is over (1 of 3 requests failed)"]


def test_traffic_of_earlier_versions_in_the_slot_does_not_count(world: World) -> None:
    world.proxy.counted[APP, "blue"] = Sample(9_000, 9_000, 0, {})  # the traffic of v1
    baking(world)
    serve(world, 1_000, 0)
    assert world.watch().outcome == "healthy"
    assert world.live() == ("v3", "blue")


def test_a_baking_version_is_rolled_back_to_the_one_it_replaced(world: World) -> None:
    world.bake = "2m"
    world.release("v1", force=True)  # v1 has no ancestor
    serve(world, 1_000, 500)
    world.watch()
    assert world.served() == "v2"


def test_a_first_version_bakes_without_a_rollback_target(worlds: Callable[[], World]) -> None:
    world = worlds()
    world.bake = "2m"
    world.release("v1")
    assert status(world.process(), APP, "").state == "baking"
    assert world.traffic.running(APP).fallback is None
    serve(world, 1_000, 500)
    passed = world.watch()
    assert passed.outcome == "degraded"
    assert "there is no stable version to roll back to" in passed.problems[0]
    assert world.served() == "v1"


def test_a_release_replaces_a_baking_version(world: World) -> None:
    baking(world)
    world.release("v4")
    assert world.served() == "v4"
    assert world.ledger.versions(APP)["v3"].stable_at is None
    back = status(world.process(), APP, "").previous
    assert back is not None
    assert back.version == "v2", "v3 never became stable"


def test_a_bake_continues_after_an_undone_release(world: World) -> None:
    baking(world)

    def crash(when: str, step: str) -> None:
        if (when, step) == ("before", "switch"):
            raise Crash

    world.boundary = crash
    with pytest.raises(Crash):
        world.release("v4")
    world.boundary = lambda when, step: None
    world.watch()
    assert world.served() == "v3"
    assert status(world.process(), APP, "").state == "baking"


def test_a_baking_version_that_is_not_ready_while_the_old_one_is_is_rolled_back(world: World) -> None:
    baking(world)
    world.prober.unready.add("v3")
    assert world.watch().outcome == "degraded"
    assert world.live() == ("v3", "blue")
    world.time += 10
    passed = world.watch()
    assert [kind for kind, *_ in passed.events] == ["rolled back", "recovered"]
    assert world.served() == "v2"


def test_a_bake_goes_on_while_both_versions_wait_for_the_same_thing(world: World) -> None:
    baking(world)
    world.prober.unready |= {"v2", "v3"}
    for _ in range(10):
        assert world.watch().outcome == "degraded"
        world.time += 20
    assert world.live() == ("v3", "blue")
    world.prober.unready.clear()
    assert "v3 is stable" in world.watch().done[0]


# --- a pass that crashes at any call -------------------------------------------------------------------------------


def healing(world: World) -> None:
    two_releases(world)
    kill(world)


def promoting(world: World) -> None:
    two_releases(world)
    baking(world)
    world.time += 121


def rolling_back(world: World) -> None:
    two_releases(world)
    baking(world)
    serve(world, 1_000, 500)


# name: (function that sets up the state, version that serves in the end)
SCENES: dict[str, tuple[Callable[[World], None], str]] = {
    "healing": (healing, "v2"),
    "promoting": (promoting, "v3"),
    "rolling back": (rolling_back, "v2"),
}


@pytest.mark.parametrize("scene", SCENES)
def test_passes_after_a_crash_at_any_call_converge(stage: Stage, scene: str) -> None:
    before, expected = SCENES[scene]
    world = stage.world(before)
    world.faults.arm(None)
    world.watch()
    calls = list(world.faults.calls)
    assert len(calls) > 10
    for number in range(len(calls)):
        # What is left after a call is what is left before the next one: `scripts/chaos FILE` tries both.
        for after in (False, True) if FULL or number == len(calls) - 1 else (False,):
            world = stage.world(before)
            world.faults.arm(number, Crash(), after=after)
            with pytest.raises(Crash):
                world.watch()
            world.faults.arm(None)
            finals: list[Any] = []
            for _ in range(4):
                world.time += 30
                world.watch()
                finals.append(world.facts())
            point = f"{'after' if after else 'before'} call {number}: {calls[number]}"
            assert world.served() == expected, point
            assert finals[-1] == finals[-2], point
            assert world.watch().outcome == "healthy", point
            version = world.ledger.versions(APP).get("v3")
            if scene == "rolling back":
                assert version is not None
                assert version.bad_at is not None, point
            if scene == "promoting":
                assert version is not None
                assert version.stable_at is not None, point


@pytest.mark.parametrize(("file", "current"), [("", True), ("[judge]\nalpha = 2\n", False), (None, False)])
def test_a_pass_watches_judges_and_notifies_as_the_file_says_now(
    tmp_path: Path, file: str | None, current: bool
) -> None:
    path = tmp_path / "deploy.toml"
    head = '[app]\nname = "mymodel"\nport = 8080\n'
    stored = parse(head + '[rollout]\nkeep_warm = "5m"\n', file=str(path), base=tmp_path)
    if file is not None:
        now = '[rollout]\nkeep_warm = "7m"\n[watchdog]\nprobes = 9\n[notify]\non = []\n'
        path.write_text(head + now + (file or "[judge]\nalpha = 0.1\n"))
    found = watched("mymodel", stored)
    assert found.rollout.keep_warm == 300
    assert (found.watchdog.probes, found.judge.alpha, len(found.notify.on)) == (
        (9, 0.1, 0) if current else (5, 0.01, 5)
    )
    assert watched("another", stored) is stored
