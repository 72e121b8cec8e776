"""Releases, rollbacks and recoveries with the real ledger and fakes: failures are undone, crashes are recovered, and a
version serves at every moment."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.rollout.step import Step
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import (
    BuildFailed,
    Degraded,
    DeployctlError,
    DeploymentFailed,
    EngineError,
    Interrupted,
    ProbeFailed,
    UsageError,
)
from orchestrator.release.executor import carry_on
from orchestrator.release.steps import Drain, Remove, Retire, Stop, Unregister, Vacate, restored
from orchestrator.release.work import Work
from tests.chaos import FULL
from tests.fakes.world import APP, Crash, World, ignore
from tests.unit.builders import REGISTRY
from tests.unit.stage import Stage


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


# --- the scenes: the state before, and the command that is interrupted at every point ------------------------------


def empty(world: World) -> None:
    return


def v1_live(world: World) -> None:
    world.release("v1")


def v1_live_twice(world: World) -> None:
    world.replicas = 2
    world.release("v1")


def v2_live_v1_warm(world: World) -> None:
    world.release("v1")
    world.release("v2")


def v2_live_v1_cold(world: World) -> None:
    v2_live_v1_warm(world)
    world.time += 601
    world.recover()


def v2_live_v1_gone(world: World) -> None:
    v2_live_v1_cold(world)
    for container in world.workloads.containers(APP):
        if container.version == "v1":
            world.workloads.remove(container)


def v2_live_v1_lost(world: World) -> None:
    world.supply.commit = "c0ffee"
    v2_live_v1_gone(world)
    del world.engine.images[f"{APP}:v1"]
    world.supply.context = "sha256:v1"  # what a checkout of the commit gives


def v1_live_with_a_registry(world: World) -> None:
    world.release("v1")
    world.more = f'[registry]\npush = "{REGISTRY}"\n'


def v2_live_v1_pushed_and_gone(world: World) -> None:
    world.more = f'[registry]\npush = "{REGISTRY}"\n'
    v2_live_v1_gone(world)
    del world.engine.images[f"{APP}:v1"]


def v3_live_v2_warm_v1_shares_its_slot(world: World) -> None:
    v2_live_v1_warm(world)
    world.release("v3")


def v1_live_with_a_secret(world: World) -> None:
    world.secrets = 'token = "file:token"'
    (world.folder / ".dockerignore").write_text("token\n")
    (world.folder / "token").write_text("the old one")
    world.release("v1")


def v1_gone_and_its_secret_too(world: World) -> None:
    v1_live_with_a_secret(world)
    world.release("v2")
    for container in world.workloads.containers(APP):
        if container.version == "v1":
            world.workloads.remove(container)
    (world.folder / "token").unlink()


def release(version: str) -> Callable[[World], Any]:
    def run(world: World) -> Any:
        return world.release(version)

    return run


def release_v1_again(world: World) -> Any:
    world.env = 'LEVEL = "debug"'
    return world.release("v1")


def release_with_a_new_secret(world: World) -> Any:
    (world.folder / "token").write_text("the new one")
    return world.release("v1")


def release_without_warm(world: World) -> Any:
    world.keep_warm = "0s"
    return world.release("v2")


def release_elsewhere(world: World) -> Any:
    world.listen = "127.0.0.1:8999"
    return world.release("v2")


def roll_back(world: World) -> Any:
    return world.rollback()


def release_an_image(world: World) -> Any:
    world.engine.publish(f"{REGISTRY}:ci", "sha256:" + "7" * 64)
    return world.release_image(f"{REGISTRY}:ci", "v2")


def canary(world: World) -> None:
    world.rollout = 'strategy = "canary"\nstages = ["5% 5m", "50% 5m"]'


def v1_live_canary(world: World) -> None:
    v1_live(world)
    canary(world)


def v2_live_v1_warm_canary(world: World) -> None:
    v2_live_v1_warm(world)
    canary(world)


def v1_live_recreate(world: World) -> None:
    v1_live(world)
    world.rollout = 'strategy = "recreate"'


def v2_live_v1_kept_recreate(world: World) -> None:
    v1_live_recreate(world)
    world.release("v2")


def v2_at_5(world: World) -> None:
    v1_live_canary(world)
    world.release("v2")


def v2_at_50(world: World) -> None:
    v2_at_5(world)
    world.promote()


Scene = tuple[Callable[[World], None], Callable[[World], Any], str | None, str]
SCENES: dict[str, Scene] = {
    # name: (function that sets up the state, command, version that served before, version that serves after)
    "first release": (empty, release("v1"), None, "v1"),
    "second release": (v1_live, release("v2"), "v1", "v2"),
    "two replicas": (v1_live_twice, release("v2"), "v1", "v2"),
    "third release": (v2_live_v1_warm, release("v3"), "v2", "v3"),
    "nothing kept warm": (v1_live, release_without_warm, "v1", "v2"),
    "a new listen address": (v1_live, release_elsewhere, "v1", "v2"),
    "the same version, with a new configuration": (v1_live, release_v1_again, "v1", "v1"),
    "the same version, with a new secret": (v1_live_with_a_secret, release_with_a_new_secret, "v1", "v1"),
    "an old version again": (v2_live_v1_warm, release("v1"), "v2", "v1"),
    "warm rollback": (v2_live_v1_warm, roll_back, "v2", "v1"),
    "cold rollback": (v2_live_v1_cold, roll_back, "v2", "v1"),
    "rollback from the image": (v2_live_v1_gone, roll_back, "v2", "v1"),
    "rollback to an image that is gone": (v2_live_v1_lost, roll_back, "v2", "v1"),
    "rollback with a copy of the secret": (v1_gone_and_its_secret_too, roll_back, "v2", "v1"),
    "release of an image in a registry": (v1_live, release_an_image, "v1", "v2"),
    "release with a registry": (v1_live_with_a_registry, release("v2"), "v1", "v2"),
    "rollback from the registry": (v2_live_v1_pushed_and_gone, roll_back, "v2", "v1"),
    "an old version from the registry": (v2_live_v1_pushed_and_gone, release("v1"), "v2", "v1"),
    "rollback beside a third": (v3_live_v2_warm_v1_shares_its_slot, roll_back, "v3", "v2"),
    "recreate": (v1_live_recreate, release("v2"), "v1", "v2"),
    "rollback with one copy": (v2_live_v1_kept_recreate, roll_back, "v2", "v1"),
    "canary": (v1_live_canary, release("v2"), "v1", "v1"),
    "canary beside a warm version": (v2_live_v1_warm_canary, release("v3"), "v2", "v2"),
    "next stage": (v2_at_5, lambda world: world.promote(), "v1", "v1"),
    "last stage": (v2_at_50, lambda world: world.promote(), "v1", "v2"),
    "all at once": (v2_at_5, lambda world: world.promote(full=True), "v1", "v2"),
    "abort": (v2_at_50, lambda world: world.abort("no good"), "v1", "v1"),
    "rollback of a candidate": (v2_at_5, roll_back, "v1", "v1"),
}
scenes = pytest.mark.parametrize("scene", SCENES)
# Tests that interrupt a command hundreds of times use only the scenes whose plans differ most.
main_scenes = pytest.mark.parametrize(
    "scene",
    [
        "first release",
        "second release",
        "third release",
        "the same version, with a new secret",
        "warm rollback",
        "cold rollback",
        "release with a registry",
        "rollback from the registry",
        "rollback beside a third",
        "recreate",
        "canary",
        "next stage",
        "last stage",
        "abort",
    ],
)


SERVING = ("workloads", "edge", "traffic", "endpoints")
"""The ports whose calls can change which version serves."""


def staged(stage: Stage, scene: str) -> tuple[World, Callable[[World], Any], str | None, str]:
    """A world with the scene set up. From now on it checks after each call that a version serves."""
    before, command, old, new = SCENES[scene]
    world = stage.world(before)
    assert world.served() == old
    world.boundaries.clear()
    world.live_before = {v.name: (v.live_at, v.stable_at) for v in world.ledger.versions(APP).values()}
    if old is not None:

        def watch(call: str) -> None:
            held = world.proxy.running is not None and APP in world.proxy.running and world.proxy.running[APP].held
            if call.partition(".")[0] in SERVING and not held:
                assert world.served() in (old, new), f"no version served after {call}"

        world.faults.watch = watch
    return world, command, old, new


def steps_of(stage: Stage, scene: str) -> list[str]:
    """The steps of the scene's command without a failure."""
    world, command, _, _ = staged(stage, scene)
    command(world)
    return [step for when, step in world.boundaries if when == "before"]


def committing(steps: list[str]) -> int:
    """The number of the step that commits."""
    return next(number for number, step in enumerate(steps) if step in ("switch", "shift", "unshare"))


def calls_of(stage: Stage, scene: str) -> list[str]:
    """The calls to ports that the scene's command makes."""
    world, command, _, _ = staged(stage, scene)
    world.faults.arm(None)
    command(world)
    return list(world.faults.calls)


def changes_of(stage: Stage, scene: str) -> list[int]:
    """The numbers of the calls before which something has changed since the last of these numbers.

    A crash at any other call leaves the same state behind as a crash at one of these.
    """
    world, command, _, _ = staged(stage, scene)
    last, numbers = state_of(world), [0]

    def watch(call: str) -> None:
        nonlocal last
        state = state_of(world)
        if state != last:
            last = state
            numbers.append(len(world.faults.calls))

    world.faults.watch = watch
    world.faults.arm(None)
    command(world)
    return [number for number in numbers if number < len(world.faults.calls)]


def state_of(world: World) -> tuple[Any, ...]:
    """Everything that the next process finds."""
    ledger = b"".join(path.read_bytes() for path in sorted(world.folder.glob("ledger.db*")) if path.suffix != ".db-shm")
    files = sorted(str(path) for path in world.folder.rglob("*"))
    fakes = [{**vars(fake)} for fake in (world.engine, world.proxy, world.supply)]
    return ledger, files, repr(fakes)


def expect_rest(world: World, version: str | None) -> None:
    """The app is at rest, `version` is live and serves, and all records are true."""
    assert world.served() == version
    live = world.live()
    assert (live[0] if live else None) == version
    assert world.ledger.open_deployment(APP) is None
    if live is None:
        assert world.proxy.disk == {}
        assert world.ledger.proxy_apps() == []
    else:
        traffic = world.ledger.traffic(APP)
        assert traffic.live == live[1]
        assert world.proxy.disk == {APP: traffic}
        assert traffic.fallback in (None, live[1]) or world.ledger.slots(APP)[traffic.fallback].state == "warm"
        rollout = world.ledger.open_rollout(APP)
        assert (rollout.slot if rollout else None) == traffic.candidate
        assert (rollout.share if rollout else 0) == traffic.share
        for container in world.workloads.containers(APP):
            asked = rollout is not None and (container.version, container.slot) == (rollout.version, rollout.slot)
            assert not asked or (container.running and container.kept_running), container
        for container in world.workloads.containers(APP):
            serving = (container.version, container.slot) == live
            assert not serving or (container.running and container.kept_running), container
    for slot, state in world.ledger.slots(APP).items():
        inside = [c for c in world.workloads.containers(APP) if (c.version, c.slot) == (state.version, slot)]
        running = bool(inside) and all(container.running for container in inside)
        assert state.state in ("ready", "warm", "cold"), state
        assert running == (state.state != "cold"), (state, inside)
    known = {(APP, name) for name in world.ledger.versions(APP)}
    assert world.supply.kept.keys() <= known, "model files of an unknown version"
    before = world.facts()
    again = world.recover()
    assert not again.anything, again
    assert world.facts() == before
    versions = world.ledger.versions(APP)
    used = {(container.version, container.deployment) for container in world.workloads.containers(APP)}
    copies = {(name, deployment) for name, deployments in world.kept_secrets().items() for deployment in deployments}
    if world.secrets:
        assert used <= copies, "a container without its secrets"
    for name, deployment in copies - used:
        assert versions[name].live_at, "a copy of the secrets of a version that was never live"
        assert deployment == max(world.kept_secrets()[name])


def expect_undone(world: World, old: str | None) -> None:
    """The deployment left no containers, and the ledger does not say that its version was live."""
    last = world.ledger.deployments(APP, 1)
    if last and last[0].outcome != "succeeded":
        assert [c for c in world.workloads.containers(APP) if c.deployment == last[0].id] == []
    for version in world.ledger.versions(APP).values():
        assert (version.live_at, version.stable_at) == world.live_before.get(version.name, (None, None)), version
    expect_rest(world, old)


def test_a_rollback_fails_when_the_commit_has_other_files(world: World) -> None:
    v2_live_v1_lost(world)
    world.supply.context = "sha256:other"
    with pytest.raises(DeploymentFailed, match="commit c0ffee has other files"):
        world.rollback()
    expect_rest(world, "v2")
    assert world.ledger.deployments(APP, 1)[0].outcome == "failed"


@pytest.mark.parametrize("how", ["no commit", "dirty"])
def test_a_rollback_is_refused_when_no_commit_has_the_source(world: World, how: str) -> None:
    v2_live_v1_lost(world)
    lost = world.ledger.versions(APP)["v1"]
    commit, dirty = (None, None) if how == "no commit" else ("c0ffee", True)
    world.ledger.record_version(replace(lost, git_commit=commit, git_dirty=dirty))
    with pytest.raises(UsageError, match="files outside of Git" if how == "no commit" else "and changes to it"):
        world.rollback()
    assert world.served() == "v2"


# --- without failures ----------------------------------------------------------------------------------------------


@scenes
def test_a_deployment_without_a_failure_succeeds(stage: Stage, scene: str) -> None:
    world, command, _, new = staged(stage, scene)
    result = command(world)
    assert result.deployment is not None
    # A rollback of a candidate names the version that has all requests again.
    assert result.version == (new if scene == "rollback of a candidate" else result.deployment.to_version)
    deployment = world.ledger.deployments(APP, 1)[0]
    assert deployment.outcome == "succeeded"
    assert deployment.reason == {"abort": "no good", "rollback of a candidate": "rolled back"}.get(scene, "")
    assert all(step.state == "done" and not step.undo for step in world.ledger.steps(deployment.id))
    expect_rest(world, new)


def test_the_journal_matches_the_plan(world: World) -> None:
    world.release("v1")
    deployment = world.ledger.deployments(APP, 1)[0]
    journal = [(step.name, step.args) for step in world.ledger.steps(deployment.id)]
    planned = list(world.ledger.plan_of(deployment.id).steps)
    assert journal == planned


def test_the_previous_version_is_stopped_after_its_standby_time(world: World) -> None:
    v2_live_v1_warm(world)
    (v1,) = (c for c in world.workloads.containers(APP) if c.version == "v1")
    assert v1.running
    assert world.ledger.slots(APP)["blue"].state == "warm"
    world.time += 599
    assert not world.recover().anything
    world.time += 2
    assert world.recover().repaired == ["v1 stopped: its rollout.keep_warm time is over"]
    (v1,) = (c for c in world.workloads.containers(APP) if c.version == "v1")
    assert (v1.state, v1.kept_running) == ("exited", False)
    assert world.ledger.slots(APP)["blue"].state == "cold"
    assert world.served() == "v2"


def test_a_warm_rollback_starts_nothing(world: World) -> None:
    v2_live_v1_warm(world)
    world.faults.arm(None)
    world.rollback()
    assert not [call for call in world.faults.calls if call in ("workloads.start", "workloads.create", "images.build")]
    assert world.served() == "v1"


def test_a_warm_version_that_does_not_answer_is_restarted(world: World) -> None:
    v2_live_v1_warm(world)
    world.prober.silent.add("v1")
    real_start = world.workloads.start

    def start(container: Any) -> None:
        world.prober.silent.clear()
        real_start(container)

    world.workloads.start = start  # type: ignore[method-assign]
    world.rollback()
    assert world.reports.notes[0] == "v1 is warm but does not answer: it is restarted"
    assert world.ledger.deployments(APP, 1)[0].mode == "start"
    expect_rest(world, "v1")


def test_two_rollbacks_go_up_the_lineage(world: World) -> None:
    v3_live_v2_warm_v1_shares_its_slot(world)
    world.rollback()
    world.rollback()
    assert world.served() == "v1"
    with pytest.raises(UsageError, match="v1 has no earlier stable version") as caught:
        world.rollback()
    assert caught.value.hint == "select one with --to: v3, v2"
    assert world.served() == "v1"


def test_releasing_the_live_version_again_does_nothing(world: World) -> None:
    world.release("v1")
    before = world.facts()
    result = world.release("v1")
    assert result.deployment is None
    assert world.facts() == before
    assert len(world.ledger.deployments(APP)) == 1


def test_a_version_that_was_live_cannot_change(world: World) -> None:
    v2_live_v1_warm(world)
    with pytest.raises(UsageError, match="v1 has been live and cannot change"):
        world.release("v1", context="sha256:other")
    assert world.served() == "v2"


def test_a_second_release_needs_no_reload(world: World) -> None:
    world.release("v1")
    reloads = world.proxy.reloads
    world.release("v2")
    assert world.proxy.reloads == reloads


def test_requests_that_are_open_at_the_drain_limit_are_cut_and_counted(world: World) -> None:
    world.release("v1")
    world.proxy.open[APP, "blue"] = 3
    world.keep_warm = "0s"
    world.release("v2")
    (drain,) = (s for s in world.ledger.steps(world.ledger.deployments(APP, 1)[0].id) if s.name == "drain")
    assert drain.detail["cut"] == 3
    assert 2.0 <= drain.detail["seconds"] < 2.1
    assert world.reports.notes == ["cut 3 requests on v1 at the drain limit of 2 s"]


def test_what_is_open_on_a_warm_version_goes_on_until_it_is_stopped(world: World) -> None:
    world.release("v1")
    world.proxy.open[APP, "blue"] = 3
    started = world.time
    world.release("v2")
    assert world.time == started
    assert world.proxy.open == {(APP, "blue"): 3}
    assert world.ledger.traffic(APP).fallback == "blue"
    world.time += 660
    world.recover()
    assert world.proxy.open == {}
    assert (
        "v1 stopped: its rollout.keep_warm time is over; 3 requests that were still open were cut"
        in world.reports.notes
    )
    assert world.ledger.traffic(APP) == TrafficState("green")
    expect_rest(world, "v2")


def test_what_is_open_on_a_slot_that_is_needed_again_is_drained_and_counted(world: World) -> None:
    v2_live_v1_warm(world)
    world.proxy.open[APP, "blue"] = 3  # streams that began on v1
    world.release("v3")
    [vacated] = [step for step in world.ledger.steps(world.ledger.deployments(APP, 1)[0].id) if step.name == "vacate"]
    assert vacated.detail["cut"] == 3
    assert world.served() == "v3"
    assert any("cut 3 requests in blue at the drain limit of 2 s" in note for note in world.reports.notes)


def test_a_drain_ends_when_no_request_is_open(world: World) -> None:
    world.release("v1")
    world.keep_warm = "0s"
    world.proxy.open[APP, "blue"] = 3
    real_sleep = world.sleep

    def sleep(seconds: float) -> None:
        real_sleep(seconds)
        if world.time > 0.5:
            world.proxy.open.clear()

    world.sleep = sleep  # type: ignore[method-assign]
    world.release("v2")
    (drain,) = (s for s in world.ledger.steps(world.ledger.deployments(APP, 1)[0].id) if s.name == "drain")
    assert drain.detail["cut"] == 0
    assert 0.4 < drain.detail["seconds"] < 0.7


def test_retention_keeps_the_rollback_target(world: World) -> None:
    world.versions = 2
    for number in range(1, 6):
        world.release(f"v{number}")
    assert set(world.engine.images) == {"mymodel:v4", "mymodel:v5"}
    assert "retention removed v3" in world.reports.notes
    world.rollback()
    assert world.served() == "v4"


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_build_that_fails_changes_nothing(world: World) -> None:
    world.release("v1")
    before = world.facts()
    world.engine.broken_builds.add("v2")
    with pytest.raises(BuildFailed) as caught:
        world.release("v2")
    assert caught.value.exit_code == 3
    assert world.facts() == before
    assert "v2" not in world.ledger.versions(APP)
    failed = world.ledger.deployments(APP, 1)[0]
    assert (failed.outcome, failed.reason) == ("failed", "the image mymodel:v2 could not be built")


def test_a_version_that_never_becomes_ready_is_removed_and_its_log_is_kept(world: World) -> None:
    world.release("v1")
    world.prober.unready.add("v2")
    with pytest.raises(ProbeFailed) as caught:
        world.release("v2")
    assert caught.value.exit_code == 3
    assert "mymodel-v2-green-1 gives up" in caught.value.details
    assert caught.value.hint
    expect_rest(world, "v1")
    assert [c.version for c in world.workloads.containers(APP)] == ["v1"]
    (probe,) = (s for s in world.ledger.steps(2) if s.name == "probe")
    assert probe.state == "failed"
    assert "mymodel-v2-green-1 gives up" in probe.detail["log"]
    assert world.ledger.deployments(APP, 1)[0].outcome == "failed"


def test_a_container_that_ends_at_once_is_reported(world: World) -> None:
    world.release("v1")
    world.engine.exits.add("v2")
    with pytest.raises(ProbeFailed, match="it exited with exit code 1"):
        world.release("v2")
    expect_rest(world, "v1")


@pytest.mark.parametrize("again", [True, False])
def test_a_container_that_ends_while_the_proxy_checks_it_is_reported(world: World, *, again: bool) -> None:
    world.release("v1")

    def ends(name: str) -> None:
        if name != "prober.wait_ready":
            return
        (container,) = (each for each in world.workloads.containers(APP) if each.version == "v2")
        world.engine.change(container, **({"restarts": 1} if again else {"state": "exited", "exit_code": 7}))
        world.proxy.failing.add((APP, container.slot))

    world.faults.watch = ends
    with pytest.raises(ProbeFailed, match="mymodel-v2-green-1 is no longer ready") as caught:
        world.release("v2")
    world.faults.watch = ignore
    assert caught.value.why == ("it exited, and the engine restarted it" if again else "it exited with exit code 7")
    assert caught.value.hint
    expect_rest(world, "v1")


def test_a_container_that_ends_before_its_restart_is_enabled_is_reported(world: World) -> None:
    world.release("v1")

    def refused(container: Container) -> None:
        world.engine.change(container, state="exited", exit_code=7)
        raise EngineError("the engine could not update it", why="container not running")

    world.workloads.keep_running = refused  # type: ignore[method-assign]
    with pytest.raises(ProbeFailed, match="mymodel-v2-green-1 is no longer ready") as caught:
        world.release("v2")
    assert caught.value.why == "it exited with exit code 7"
    expect_rest(world, "v1")


def test_a_failed_version_can_be_released_when_it_is_fixed(world: World) -> None:
    world.release("v1")
    world.prober.unready.add("v2")
    with pytest.raises(ProbeFailed):
        world.release("v2")
    world.prober.unready.clear()
    world.release("v2", context="sha256:fixed")
    expect_rest(world, "v2")
    assert world.ledger.versions(APP)["v2"].parent == "v1"


def test_an_undo_that_fails_is_degraded_and_recovery_continues(world: World) -> None:
    world.release("v1")
    world.prober.unready.add("v2")

    def refuse(when: str, step: str) -> None:
        if (when, step) == ("before", "remove"):
            raise EngineError("the engine could not remove a container")

    world.boundary = refuse
    with pytest.raises(Degraded) as caught:
        world.release("v2")
    assert caught.value.exit_code == 4
    assert caught.value.hint == "'deployctl recover' continues"
    assert world.served() == "v1"
    world.boundary = lambda when, step: None
    assert world.recover().direction == "undo"
    expect_rest(world, "v1")
    assert [c.version for c in world.workloads.containers(APP)] == ["v1"]


@scenes
@pytest.mark.parametrize(("when", "kind"), [("before", EngineError), ("acted", EngineError), ("acted", RuntimeError)])
def test_a_failure_at_any_step_is_undone_or_finished(
    stage: Stage, scene: str, when: str, kind: type[Exception]
) -> None:
    steps = steps_of(stage, scene)
    switch = committing(steps)
    for number, name in enumerate(steps):
        world, command, old, new = staged(stage, scene)
        error = kind(f"{when} {name}")

        def boundary(at: str, step: str, *, name: str = name, error: Exception = error, world: World = world) -> None:
            if (at, step) == (when, name):
                world.boundary = lambda when, step: None
                raise error

        world.boundary = boundary
        with pytest.raises(Exception, match=f"{when} {name}") as caught:
            command(world)
        last = world.ledger.deployments(APP, 1)[0]
        # A switch that could not be recorded may be undone, or left to recovery.
        if number < switch or (number == switch and last.outcome is not None):
            assert caught.value is error, "the original error reaches the user"
            assert last.outcome == "failed"
            expect_undone(world, old)
        else:
            assert when == "acted" or number > switch
            assert isinstance(caught.value, Degraded if kind is EngineError else kind)
            assert world.served() == new
            assert world.recover().direction == ("finish" if (when, name) != ("acted", "settle") else None)
            expect_rest(world, new)


@main_scenes
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_any_call_to_a_port_may_fail_once(stage: Stage, scene: str, after: bool) -> None:
    calls = list(enumerate(calls_of(stage, scene)))
    # `scripts/chaos FILE` lets each call fail before and after it acts, `scripts/test` one way each.
    for at, call in calls if FULL else calls[after::2]:
        world, command, old, new = staged(stage, scene)
        before = [deployment.id for deployment in world.ledger.deployments(APP, 1)]
        error = DeploymentFailed(f"{call} failed")
        world.faults.arm(at, error, after=after)
        try:
            command(world)
        except DeployctlError:
            world.faults.arm(None)
            direction = world.recover().direction
            outcome = (world.ledger.deployments(APP, 1) or [None])[0]
            switched = outcome is not None and outcome.id not in before and outcome.outcome == "succeeded"
            assert world.served() == (new if switched else old), f"{at} {call}: {direction}"
            if switched:
                expect_rest(world, new)
            else:
                expect_undone(world, old)
        else:
            expect_rest(world, new)


# --- crashes -------------------------------------------------------------------------------------------------------


def crash_at(world: World, when: str, name: str, occurrence: int = 0) -> None:
    count = 0

    def boundary(at: str, step: str) -> None:
        nonlocal count
        if (at, step) == (when, name):
            count += 1
            if count > occurrence:
                world.boundary = lambda when, step: None
                raise Crash

    world.boundary = boundary


@scenes
@pytest.mark.parametrize("when", ["before", "acted", "after"])
def test_a_crash_at_any_step_is_recovered(stage: Stage, scene: str, when: str) -> None:
    steps = steps_of(stage, scene)
    switch = committing(steps)
    for number, name in enumerate(steps):
        world, command, old, new = staged(stage, scene)
        crash_at(world, when, name)
        with pytest.raises(Crash):
            command(world)
        switched = number > switch or (number == switch and when != "before")
        recovered = world.recover()
        finished = name == "settle" and when != "before"
        assert recovered.direction == (None if finished else "finish" if switched else "undo"), (when, name)
        last = world.ledger.deployments(APP, 1)[0]
        assert last.outcome == ("succeeded" if switched else "undone")
        if switched:
            expect_rest(world, new)
        else:
            expect_undone(world, old)


@main_scenes
def test_a_crash_in_any_step_of_the_recovery_is_recovered(stage: Stage, scene: str) -> None:
    steps = steps_of(stage, scene)
    switch = committing(steps)
    for number, name in enumerate(steps):
        world, command, _, _ = staged(stage, scene)
        crash_at(world, "acted", name)
        with pytest.raises(Crash):
            command(world)
        world.boundaries.clear()
        world.recover()
        recovery = [(when, step) for when, step in world.boundaries if when != "after"]
        for when, step in recovery:
            world, command, old, new = staged(stage, scene)
            crash_at(world, "acted", name)
            with pytest.raises(Crash):
                command(world)
            crash_at(world, when, step)
            with pytest.raises(Crash):
                world.recover()
            world.recover()
            if number < switch:
                expect_undone(world, old)
            else:
                expect_rest(world, new)


@main_scenes
def test_a_crash_at_any_call_to_a_port_is_recovered(stage: Stage, scene: str) -> None:
    for at in changes_of(stage, scene):
        world, command, old, new = staged(stage, scene)
        world.faults.arm(at, Crash())
        with pytest.raises(Crash):
            command(world)
        world.faults.arm(None)
        world.recover()
        last = world.ledger.deployments(APP, 1)
        served = world.served()
        assert served in (old, new), (at, world.faults.calls)
        if last and last[0].outcome == "undone":
            expect_undone(world, old)
        else:
            expect_rest(world, served)


def test_a_crashed_release_can_be_repeated(stage: Stage) -> None:
    for name in steps_of(stage, "second release"):
        world, command, _, new = staged(stage, "second release")
        crash_at(world, "acted", name)
        with pytest.raises(Crash):
            command(world)
        command(world)
        expect_rest(world, new)


def test_recovery_with_nothing_to_do_does_nothing(world: World) -> None:
    assert not world.recover().anything
    world.release("v1")
    before = world.facts()
    assert not world.recover().anything
    assert world.facts() == before


def test_recovery_starts_a_stopped_live_container(world: World) -> None:
    world.release("v1")
    (v1,) = world.workloads.containers(APP)
    world.workloads.stop(v1)
    assert world.served() is None
    assert world.recover().repaired == ["mymodel-v1-blue-1 started again"]
    expect_rest(world, "v1")


def test_recovery_restores_a_lost_route_and_a_lost_proxy(world: World) -> None:
    v2_live_v1_warm(world)
    world.proxy.disk.clear()
    world.edge.down()
    assert world.recover().repaired == ["routes.map restored from the ledger", "the proxy was started"]
    expect_rest(world, "v2")


def test_a_finished_recovery_records_the_settings(world: World) -> None:
    # A rollback to this version must start it with its last settings.
    world.release("v1")
    crash_at(world, "after", "switch")
    with pytest.raises(Crash):
        release_v1_again(world)
    world.recover()
    assert world.ledger.settings(APP, "v1")["environment"] == {"LEVEL": "debug"}


# --- signals -------------------------------------------------------------------------------------------------------


@scenes
@pytest.mark.parametrize("when", ["before", "acted"])
def test_a_signal_undoes_only_before_the_switch(stage: Stage, scene: str, when: str) -> None:
    steps = steps_of(stage, scene)
    switch = committing(steps)
    for number, name in enumerate(steps):
        world, command, old, new = staged(stage, scene)

        def boundary(at: str, step: str, *, world: World = world, name: str = name) -> None:
            if (at, step) == (when, name):
                world.services.interrupts._received(signal.SIGINT, None)

        world.boundary = boundary
        with pytest.raises(Interrupted) as caught:
            command(world)
        assert caught.value.exit_code == 130
        last = world.ledger.deployments(APP, 1)[0]
        if number < switch:
            assert last.outcome == "undone"
            assert str(caught.value) == "interrupted (SIGINT): stopped before traffic was switched"
            expect_undone(world, old)
        else:
            assert last.outcome == "succeeded"
            assert str(caught.value).endswith("is live; waiting was cut short, nothing was undone")
            expect_rest(world, new)


def test_a_second_signal_ends_the_program_and_recovery_undoes(world: World) -> None:
    world.release("v1")

    def boundary(when: str, step: str) -> None:
        if (when, step) == ("acted", "start"):
            world.services.interrupts._received(signal.SIGTERM, None)
            world.services.interrupts._received(signal.SIGTERM, None)

    world.boundary = boundary
    with pytest.raises(KeyboardInterrupt):
        world.release("v2")
    assert world.ledger.open_deployment(APP) is not None
    assert world.recover().direction == "undo"
    expect_rest(world, "v1")


def test_a_signal_shortens_the_drain(world: World) -> None:
    world.release("v1")
    world.keep_warm = "0s"
    world.proxy.open[APP, "blue"] = 2

    def sleep(seconds: float) -> None:
        world.time += seconds
        if world.time > 0.5:
            world.services.interrupts._received(signal.SIGINT, None) if not world.services.interrupts.pending else None

    world.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        world.release("v2")
    assert 1.5 < world.time < 1.7
    (drain,) = (s for s in world.ledger.steps(2) if s.name == "drain")
    assert drain.detail["cut"] == 2
    expect_rest(world, "v2")


@pytest.mark.parametrize(
    "step",
    [
        Vacate("blue", "v1"),
        Retire("v1", "blue", "stop"),
        Retire("v1", "blue", "remove"),
        Unregister("blue"),
        Remove("v1", "blue"),
        Stop("v1", "blue"),
        Drain("v1", "blue"),
    ],
    ids=lambda step: step.words,
)
def test_no_step_changes_the_slot_that_serves(world: World, step: Step) -> None:
    world.release("v1")
    deployment = world.ledger.deployments(APP, 1)[0]
    plan = restored(world.ledger.plan_of(deployment.id))
    work = Work(world.services, deployment, plan, world.config())
    before = world.facts()
    with pytest.raises(Degraded, match=r"^refused to .*blue"):
        carry_on(work, [step], "undone", "", undoing=True)
    assert world.facts() == before
