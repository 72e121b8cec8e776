"""Drills with the real ledger and fakes: they prove a rollback, or say why it would fail, and the live version serves
at every moment. A crash at any point is recovered."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.record.chain import read_detail
from orchestrator.domain.rollout.plan import Plan, undo
from orchestrator.domain.rollout.recovery import recover
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.rollout.way_back import way_back
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import (
    Degraded,
    DeployctlError,
    DrillFailed,
    EngineError,
    EngineUnreachable,
    Interrupted,
    UsageError,
)
from orchestrator.release.drill import Drill, drill, plan_drill
from orchestrator.release.steps import STEPS, restored
from orchestrator.reports.events import Filters, events
from orchestrator.reports.previous import PreviousVersion
from orchestrator.reports.status import status
from tests.chaos import FULL
from tests.fakes.outside import MACHINE_MEMORY
from tests.fakes.world import APP, Crash, World, ignore
from tests.unit.builders import journal, v1_lost, v2_live
from tests.unit.release.test_executor import (
    crash_at,
    expect_rest,
    state_of,
    v1_gone_and_its_secret_too,
    v2_live_v1_cold,
    v2_live_v1_gone,
    v2_live_v1_lost,
    v2_live_v1_pushed_and_gone,
    v2_live_v1_warm,
    v3_live_v2_warm_v1_shares_its_slot,
)
from tests.unit.stage import Stage

PREVIEW = "127.0.0.1:8001"


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


def run(world: World, to: str | None = None) -> Drill:
    return drill(world.process(), world.config(), to)


def with_a_preview(world: World) -> None:
    world.timeout = f'1h"\npreview = "{PREVIEW}'


def previewed_cold(world: World) -> None:
    with_a_preview(world)
    v2_live_v1_cold(world)


def previewed_gone(world: World) -> None:
    with_a_preview(world)
    v2_live_v1_gone(world)


def previewed_warm(world: World) -> None:
    with_a_preview(world)
    unshielded(world)


def unshielded(world: World) -> None:
    v2_live_v1_warm(world)
    with world.services.locks.proxy():
        world.traffic.apply(APP, TrafficState("green"))
        world.services.ledger.set_traffic(APP, TrafficState("green"))


def with_a_copy_of_the_secret(world: World) -> None:
    v1_gone_and_its_secret_too(world)
    world.recover()  # it ends the shield, because the warm version is gone


def two_replicas(world: World) -> None:
    world.replicas = 2
    previewed_gone(world)


SCENES: dict[str, tuple[Callable[[World], None], str, str]] = {
    # name: (function that sets up the state, live version, how the target comes back)
    "warm, with a shield": (v2_live_v1_warm, "v2", "switch"),
    "warm, without a shield": (previewed_warm, "v2", "switch"),
    "cold": (v2_live_v1_cold, "v2", "start"),
    "cold, with a preview": (previewed_cold, "v2", "start"),
    "new containers": (previewed_gone, "v2", "start"),
    "two replicas": (two_replicas, "v2", "start"),
    "from the registry": (v2_live_v1_pushed_and_gone, "v2", "pull"),
    "from its commit": (v2_live_v1_lost, "v2", "rebuild"),
    "with a copy of the secret": (with_a_copy_of_the_secret, "v2", "start"),
    "beside a third": (v3_live_v2_warm_v1_shares_its_slot, "v3", "switch"),
}
scenes = pytest.mark.parametrize("scene", SCENES)
main_scenes = pytest.mark.parametrize(
    "scene", ["warm, with a shield", "warm, without a shield", "cold, with a preview", "new containers"]
)


def staged(stage: Stage, scene: str) -> World:
    """A world with the scene set up. After each call from now on the live version must have all requests."""
    before, live, _ = SCENES[scene]
    world = stage.world(before)
    assert world.served() == live
    world.boundaries.clear()
    slot = world.ledger.traffic(APP).live
    shield = world.ledger.traffic(APP).shield

    def watch(call: str) -> None:
        assert world.served() == live, f"{live} does not serve after {call}"
        for states in (world.proxy.disk, world.proxy.running or {}):
            state = states[APP]
            assert (state.live, state.share, state.shield) == (slot, 0, shield), call

    world.faults.watch = watch
    return world


def drilled(world: World) -> list[dict[str, Any]]:
    """The details of the events about drills, newest first."""
    found = world.ledger.newest_events(APP, 100)
    return [read_detail(event.detail) for event in found if event.kind == "drilled"]


def previous(world: World) -> PreviousVersion:
    found = status(world.process(), APP, "").previous
    assert found is not None
    return found


def facts(world: World) -> dict[str, Any]:
    """What clients, a rollback and the next release depend on."""
    found = world.facts()
    slots = {slot: state for slot, state in found["slots"].items() if _inside(world, *state)}
    return {"slots": slots, **{key: found[key] for key in ("disk", "running", "traffic", "containers", "open")}}


def _inside(world: World, version: str, state: str) -> bool:
    """Whether a slot has containers: the record of one whose containers were removed says nothing."""
    return any(container.version == version for container in world.workloads.containers(APP))


def steps_of(stage: Stage, scene: str) -> list[str]:
    world = staged(stage, scene)
    run(world)
    return [step for when, step in world.boundaries if when == "before"]


# --- the plans -----------------------------------------------------------------------------------------------------


def planned(observed: Any, preview: str = "") -> Plan:
    back = way_back(observed)
    assert back is not None
    return plan_drill(observed, back, replicas=1, preview=preview)


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_a_warm_version_is_probed_and_stays() -> None:
    plan = planned(v2_live("warm"))
    assert (plan.kind, plan.mode, plan.to_version, plan.to_slot) == ("drill", "switch", "v1", "blue")
    assert names(plan) == ["register", "probe", "inspect", "drilled", "settle"]


def test_a_cold_version_is_started_and_stopped_again_without_automatic_restarts() -> None:
    plan = planned(v2_live("cold"), PREVIEW)
    started = ["vacate", "start", "register", "probe", "inspect"]
    assert names(plan) == [*started, "preview", "drilled", "retire", "settle"]
    assert plan.steps[-2].args == {"version": "v1", "slot": "blue", "how": "stop", "keep_warm": 0.0}
    assert plan.after == plan.before == TrafficState("green")


def test_a_version_without_containers_gets_new_ones() -> None:
    assert names(planned(v2_live("gone")))[:3] == ["vacate", "create", "start"]
    assert names(planned(v1_lost()))[:3] == ["pull", "vacate", "create"]


def test_a_shield_is_kept_and_nothing_is_previewed() -> None:
    plan = planned(v2_live("warm", shield=True), PREVIEW)
    assert "preview" not in names(plan)
    assert plan.after == plan.before == TrafficState("green", shield=True)


def test_the_ledger_restores_the_plan() -> None:
    plan = planned(v2_live("cold"), PREVIEW)
    assert restored(plan.record()).steps == plan.steps
    assert all(step.words for step in plan.steps)
    assert {step.name for step in plan.steps} | {"unpreview"} <= STEPS.keys()


def test_an_interrupted_drill_is_undone_until_it_has_measured() -> None:
    plan = planned(v2_live("cold"), PREVIEW)
    for number, step in enumerate(plan.steps, 1):
        recovery = recover(plan, journal(plan.steps[:number], "done"), plan.before)
        assert recovery.direction == ("finish" if number > plan.commit else "undo"), step.name
    undone = undo(plan, journal(plan.steps[: plan.commit], "done"))
    assert [step.name for step in undone] == ["unpreview", "unregister", "stop"]


# --- without failures ----------------------------------------------------------------------------------------------


@scenes
def test_a_drill_proves_the_way_back_and_changes_nothing_that_clients_see(stage: Stage, scene: str) -> None:
    world = staged(stage, scene)
    _, live, mode = SCENES[scene]
    target = "v2" if live == "v3" else "v1"
    before = world.ledger.traffic(APP)
    switches = world.ledger.switches(APP)
    lived = {name: (each.live_at, each.stable_at) for name, each in world.ledger.versions(APP).items()}
    result = run(world)
    assert (result.version, result.live, result.back.mode) == (target, live, mode)
    assert world.ledger.traffic(APP) == before
    assert world.ledger.switches(APP) == switches
    assert {name: (each.live_at, each.stable_at) for name, each in world.ledger.versions(APP).items()} == lived
    assert not world.ledger.left_by_rollback(APP)
    deployment = world.ledger.deployments(APP, 1)[0]
    assert (deployment.kind, deployment.outcome, deployment.reason) == ("drill", "succeeded", "")
    (event,) = drilled(world)
    assert event == {
        "version": target,
        "live": live,
        "mode": mode,
        "seconds": result.seconds,
        "outcome": "succeeded",
        "actor": world.services.actor(world.folder),
        "deployment": deployment.id,
    }
    slot = world.ledger.slots(APP)[deployment.to_slot]
    assert (slot.version, slot.state) == (target, "warm" if mode == "switch" else "cold")
    assert [c for c in world.workloads.containers(APP) if (c.version, c.slot) == (target, deployment.to_slot)]
    expect_rest(world, live)
    # What it proved is so.
    world.faults.watch = ignore
    assert world.rollback().version == target
    assert world.ledger.deployments(APP, 1)[0].mode == ("switch" if mode == "switch" else "start")
    expect_rest(world, target)


def test_a_warm_version_stays_as_it_was(world: World) -> None:
    v2_live_v1_warm(world)
    before, slots = facts(world), world.ledger.slots(APP)
    world.faults.arm(None)
    run(world)
    assert (facts(world), world.ledger.slots(APP)) == (before, slots)
    assert not {"workloads.start", "workloads.stop", "workloads.create", "traffic.apply"} & set(world.faults.calls)


def test_kept_containers_stay_as_they_were(world: World) -> None:
    v2_live_v1_cold(world)
    before = facts(world)
    run(world)
    assert facts(world) == before


def test_new_containers_are_kept_for_a_faster_rollback(world: World) -> None:
    v2_live_v1_pushed_and_gone(world)
    assert previous(world).rollback.mode == "pull"
    run(world)
    assert (previous(world).rollback.mode, previous(world).rollback.containers_kept) == ("start", True)


def test_another_target(world: World) -> None:
    v3_live_v2_warm_v1_shares_its_slot(world)
    world.time += 601
    world.recover()
    assert run(world, "v1").version == "v1"
    assert world.served() == "v3"
    assert previous(world).version == "v2"
    assert previous(world).rollback.containers_kept, "the usual way back is not slower than before"
    expect_rest(world, "v3")


@pytest.mark.parametrize("scene", [previewed_cold, previewed_warm])
def test_the_version_is_asked_at_its_preview_address(world: World, scene: Callable[[World], None]) -> None:
    scene(world)
    asked = []
    real = world.prober.probe

    def probe(address: str, spec: Any) -> Any:
        if address == "127.0.0.1":
            asked.append((spec.port, (world.proxy.running or {})[APP]))
        return real(address, spec)

    world.prober.probe = probe  # type: ignore[method-assign]
    assert run(world).preview == PREVIEW
    assert asked == [(8001, TrafficState("green", "blue", preview=True))]
    assert world.ledger.traffic(APP) == TrafficState("green")


def test_a_shield_is_worth_more_than_a_preview(world: World) -> None:
    with_a_preview(world)
    v2_live_v1_warm(world)
    assert world.ledger.traffic(APP).fallback == "blue"
    result = run(world)
    assert result.preview is None
    assert result.notes == ("not asked at the preview address: v1 answers what v2 fails, and a preview would end that",)
    assert world.ledger.traffic(APP).fallback == "blue"


# --- what a rollback should take -----------------------------------------------------------------------------------


def slowly(world: World, seconds: float) -> None:
    """Each start of a container takes so long."""
    real = world.workloads.start

    def start(container: Any) -> None:
        world.time += seconds
        real(container)

    world.workloads.start = start  # type: ignore[method-assign]


def test_the_estimate_of_a_rollback_is_from_the_newest_drill_of_the_same_mode(world: World) -> None:
    v2_live_v1_cold(world)
    slowly(world, 40.0)
    result = run(world)
    assert 40 <= result.seconds < 45
    found = previous(world).rollback
    assert found.mode == "start"
    assert found.seconds is not None
    assert abs(found.seconds - result.seconds) < 1
    assert found.drill is not None
    assert (found.drill.outcome, found.drill.mode, found.drill.seconds) == ("succeeded", "start", result.seconds)


def test_a_start_is_not_estimated_from_the_drill_of_a_switch(world: World) -> None:
    world.release("v1")
    world.time += 1000
    world.release("v2")
    before = previous(world).rollback
    slowly(world, 40.0)
    run(world)
    assert previous(world).rollback.mode == "switch"
    world.time += 601
    world.recover()
    after = previous(world).rollback
    assert (before.mode, after.mode) == ("switch", "start")
    assert after.drill is not None
    assert after.drill.mode == "switch"
    # The release of v1 is the last time that it was started.
    (first,) = (each for each in world.ledger.deployments(APP) if each.to_version == "v1" and each.kind == "release")
    started = sum(s.seconds or 0 for s in world.ledger.steps(first.id) if s.name in ("start", "register", "probe"))
    assert after.seconds is not None
    assert abs(after.seconds - started) < 1


def test_a_drill_does_not_end_the_cool_down_of_automatic_rollbacks(world: World) -> None:
    from orchestrator.watch.look import _cooling_until

    v2_live_v1_warm(world)
    rolled_back = world.ledger.deployments(APP, 1)[0]
    with world.ledger._transaction() as db:
        db.execute("UPDATE deployments SET kind = 'auto-rollback' WHERE id = ?", (rolled_back.id,))
    now = world.timestamp()
    until = _cooling_until(world.services, world.config(), APP, now)
    assert until > 0
    run(world)
    assert _cooling_until(world.services, world.config(), APP, now) == until


def test_events_name_the_drill_once(world: World) -> None:
    v2_live_v1_cold(world)
    result = run(world)
    found = events(world.process(), APP, 50, Filters(version="v1")).events
    newest = found[0]
    assert (newest.kind, newest.by) == ("drilled", world.services.actor(world.folder))
    assert newest.text == f"v2 to v1, by a start: succeeded, ready after {result.seconds:g} s"
    assert [each.kind for each in found].count("drilled") == 1
    assert "drill" not in [each.kind for each in found]
    (again,) = events(world.process(), APP, 50, Filters(kinds=("drilled",))).events
    assert again == newest


# --- what is refused -----------------------------------------------------------------------------------------------


def refused(world: World, to: str | None = None) -> UsageError:
    before, deployments = facts(world), world.ledger.deployments(APP)
    with pytest.raises(UsageError) as caught:
        run(world, to)
    assert (facts(world), world.ledger.deployments(APP)) == (before, deployments), "nothing was changed"
    return caught.value


def test_nothing_to_roll_back_to(world: World) -> None:
    assert refused(world).message == f"{APP} has no live version"
    world.release("v1")
    assert refused(world).message == "v1 has no earlier stable version"


def test_while_a_rollout_is_open(world: World) -> None:
    v2_live_v1_cold(world)
    now = world.now().isoformat()
    world.ledger.begin_rollout(Rollout(0, APP, "v3", "blue", "v2", 2, "canary", (), 0, now, "somebody", now))
    error = refused(world)
    assert error.message == "v3 is a candidate"
    assert error.hint == "let the rollout end, or end it: deployctl promote --full, or deployctl abort"


@pytest.mark.parametrize("shield", [True, False])
def test_a_warm_version_is_not_stopped_for_the_drill_of_another(world: World, shield: bool) -> None:
    v3_live_v2_warm_v1_shares_its_slot(world)
    if not shield:
        world.ledger.set_traffic(APP, TrafficState("blue"))
        world.traffic.apply(APP, TrafficState("blue"))
    error = refused(world, "v1")
    assert error.message == "v2 runs in green, where v1 would be started"
    assert error.why.startswith("v2 answers what v3 fails" if shield else "v2 is the fastest rollback target")
    assert "deployctl rollback --drill --to v2" in error.hint


def test_a_warm_version_with_a_replica_that_ended_is_not_stopped(world: World) -> None:
    world.replicas = 2
    v2_live_v1_warm(world)
    world.workloads.stop(next(c for c in world.workloads.containers(APP) if c.version == "v1"))
    assert refused(world).message == "v1 is warm, and not all of its containers run"


def test_a_version_that_does_not_fit_beside_the_live_one(world: World) -> None:
    v2_live_v1_cold(world)
    world.host.available = 0
    (live,) = (c for c in world.workloads.containers(APP) if c.running)
    world.host.uses = {live.id: MACHINE_MEMORY // 2}
    assert refused(world).message == "v1 cannot be drilled beside the live version"


def test_a_version_that_is_replaced_in_its_place(world: World) -> None:
    v2_live_v1_cold(world)
    world.bake = '0s"\nstrategy = "recreate'
    assert refused(world).message == "rollout.strategy is recreate: two versions never run at the same time"


# --- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["ends", "never ready", "does not answer at the preview address"])
@pytest.mark.parametrize("scene", [previewed_cold, previewed_gone])
def test_a_drill_that_fails_changes_nothing(world: World, scene: Callable[[World], None], how: str) -> None:
    scene(world)
    before = facts(world)
    if how == "ends":
        world.engine.exits.add("v1")
    elif how == "never ready":
        world.prober.unready.add("v1")
    else:
        world.prober.through = lambda: 503
    with pytest.raises(DrillFailed) as caught:
        run(world)
    error = caught.value
    assert error.exit_code == 3
    assert error.message == "a rollback to v1 would fail"
    assert error.hint.startswith("nothing was changed, v2 still serves; its log: deployctl logs v1")
    assert {"ends": "exit code 1", "never ready": "did not become ready"}.get(how, "its preview address") in error.why
    assert facts(world) == before
    expect_rest(world, "v2")
    (event,) = drilled(world)
    assert (event["outcome"], event["seconds"]) == ("failed", None)
    assert event["why"] == error.why
    found = previous(world).rollback.drill
    assert found is not None
    assert (found.outcome, found.seconds) == ("failed", None)


def test_a_warm_version_that_does_not_answer_is_left_as_it_is(world: World) -> None:
    v2_live_v1_warm(world)
    before = facts(world)
    world.prober.silent.add("v1")
    with pytest.raises(DrillFailed) as caught:
        run(world)
    assert caught.value.message == "a rollback to v1 would not be a switch: it would restart it"
    assert facts(world) == before


def test_an_engine_that_does_not_answer_says_nothing_about_the_rollback(world: World) -> None:
    v2_live_v1_cold(world)

    def lost(when: str, step: str) -> None:
        if (when, step) == ("before", "start"):
            world.boundary = lambda when, step: None
            raise EngineUnreachable("the engine does not answer")

    world.boundary = lost
    with pytest.raises(EngineUnreachable):
        run(world)
    expect_rest(world, "v2")


def test_a_version_that_cannot_be_stopped_again_is_degraded(world: World) -> None:
    v2_live_v1_cold(world)

    def refuse(when: str, step: str) -> None:
        if (when, step) == ("before", "retire"):
            world.boundary = lambda when, step: None
            raise EngineError("the engine could not stop a container")

    world.boundary = refuse
    with pytest.raises(Degraded) as caught:
        run(world)
    assert caught.value.message == "a rollback to v1 works, but the drill could not be finished"
    assert world.recover().direction == "finish"
    assert drilled(world)[0]["outcome"] == "succeeded"
    expect_rest(world, "v2")


@main_scenes
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_any_call_to_a_port_may_fail_once(stage: Stage, scene: str, after: bool) -> None:
    world = staged(stage, scene)
    world.faults.arm(None)
    run(world)
    # `scripts/chaos FILE` lets each call fail before and after it acts, `scripts/test` some of them.
    for at, call in list(enumerate(world.faults.calls))[:: 1 if FULL else 5 + 2 * after]:
        world = staged(stage, scene)
        world.faults.arm(at, EngineError(f"{call} failed"), after=after)
        try:
            run(world)
        except DeployctlError:
            world.faults.arm(None)
            world.recover()
        world.faults.arm(None)
        expect_rest(world, "v2")


# --- crashes and signals -------------------------------------------------------------------------------------------


@scenes
@pytest.mark.parametrize("when", ["before", "acted", "after"])
def test_a_crash_at_any_step_is_recovered(stage: Stage, scene: str, when: str) -> None:
    steps = steps_of(stage, scene)
    commit = steps.index("drilled")
    _, live, _ = SCENES[scene]
    for number, name in enumerate(steps):
        world = staged(stage, scene)
        crash_at(world, when, name)
        with pytest.raises(Crash):
            run(world)
        proven = number > commit or (number == commit and (when != "before" or "preview" not in steps))
        finished = name == "settle" and when != "before"
        found = status(world.process(), APP, "")
        assert found.state == ("stable" if finished else "degraded")
        direction = world.recover().direction
        assert direction == (None if finished else "finish" if proven else "undo"), (when, name)
        last = world.ledger.deployments(APP, 1)[0]
        assert (last.kind, last.outcome) == ("drill", "succeeded" if proven else "undone")
        assert [event["outcome"] for event in drilled(world)] == [last.outcome]
        if not proven:
            assert [c for c in world.workloads.containers(APP) if c.deployment == last.id] == []
        expect_rest(world, live)


@pytest.mark.parametrize("scene", ["warm, without a shield", "new containers"])
def test_a_crash_in_any_step_of_the_recovery_is_recovered(stage: Stage, scene: str) -> None:
    for name in steps_of(stage, scene):
        world = staged(stage, scene)
        crash_at(world, "acted", name)
        with pytest.raises(Crash):
            run(world)
        world.boundaries.clear()
        world.recover()
        for when, step in [each for each in world.boundaries if each[0] != "after"]:
            world = staged(stage, scene)
            crash_at(world, "acted", name)
            with pytest.raises(Crash):
                run(world)
            crash_at(world, when, step)
            with pytest.raises(Crash):
                world.recover()
            world.recover()
            assert len(drilled(world)) == 1
            expect_rest(world, "v2")


@pytest.mark.parametrize("scene", ["warm, without a shield", "cold, with a preview"])
def test_a_crash_at_any_call_to_a_port_is_recovered(stage: Stage, scene: str) -> None:
    for at in changes_of(stage, scene):
        world = staged(stage, scene)
        world.faults.arm(at, Crash())
        with pytest.raises(Crash):
            run(world)
        world.faults.arm(None)
        world.recover()
        assert len(drilled(world)) <= 1
        expect_rest(world, "v2")
        run(world)
        expect_rest(world, "v2")


def changes_of(stage: Stage, scene: str) -> list[int]:
    """The numbers of the calls before which something has changed since the last of these numbers."""
    world = staged(stage, scene)
    watched = world.faults.watch
    last, numbers = state_of(world), [0]

    def watch(call: str) -> None:
        nonlocal last
        watched(call)
        state = state_of(world)
        if state != last:
            last = state
            numbers.append(len(world.faults.calls))

    world.faults.watch = watch
    world.faults.arm(None)
    run(world)
    return [number for number in numbers if number < len(world.faults.calls)]


def test_a_drill_after_a_crashed_one(world: World) -> None:
    v2_live_v1_cold(world)
    crash_at(world, "acted", "probe")
    with pytest.raises(Crash):
        run(world)
    run(world)
    assert [event["outcome"] for event in drilled(world)] == ["succeeded", "undone"]
    expect_rest(world, "v2")


@main_scenes
@pytest.mark.parametrize("when", ["before", "acted"])
def test_a_signal_ends_a_drill(stage: Stage, scene: str, when: str) -> None:
    steps = steps_of(stage, scene)
    commit = steps.index("drilled")
    for number, name in enumerate(steps):
        world = staged(stage, scene)

        def boundary(at: str, step: str, *, world: World = world, name: str = name) -> None:
            if (at, step) == (when, name):
                world.services.interrupts._received(signal.SIGINT, None)

        world.boundary = boundary
        with pytest.raises(Interrupted) as caught:
            run(world)
        world.boundary = lambda when, step: None
        proven = number >= commit
        assert drilled(world)[0]["outcome"] == ("succeeded" if proven else "undone"), name
        if proven:
            assert "a rollback to v1 works" in str(caught.value)
        expect_rest(world, "v2")


def test_a_step_is_not_recorded_twice_when_the_ledger_was_read_again(world: World) -> None:
    v2_live_v1_cold(world)
    crash_at(world, "acted", "settle")
    with pytest.raises(Crash):
        run(world)
    world.recover()
    assert len(drilled(world)) == 1
    assert replace(world.ledger.deployments(APP, 1)[0], config={}).outcome == "succeeded"
