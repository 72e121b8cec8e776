"""Releases of two apps atomically: all or none, wherever they fail or crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.config import Config
from orchestrator.domain.traffic.sample import Sample
from orchestrator.errors import (
    Degraded,
    DeployctlError,
    DeploymentFailed,
    Interrupted,
    Locked,
    ProbeFailed,
    UsageError,
)
from orchestrator.release.recover import recover
from orchestrator.release.result import Result
from orchestrator.release.together import release_together
from orchestrator.watch.together import watch_together
from tests.chaos import FULL
from tests.fakes.world import APP, Crash, World
from tests.unit.stage import Stage

OTHER = "other"
APPS = (OTHER, APP)  # not in the order of their names


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


def configs(world: World, **more: str) -> list[Config]:
    return [world.config(OTHER, listen="127.0.0.1:8001", **more), world.config(**more)]


def together(world: World, version: str, **more: str) -> list[Result]:
    """Releases both apps, with the files of `version`."""
    world.supply.context = f"sha256:{version}"
    return release_together(world.process(), configs(world, **more))


def empty(world: World) -> None:
    return


def both_live(world: World) -> None:
    together(world, "v1")


def one_live(world: World) -> None:
    world.release("v1")


def settling(world: World) -> None:
    world.settle = "3s"
    together(world, "v1")


def served(world: World) -> dict[str, str | None]:
    return {app: world.served(app) for app in APPS}


def outcomes(world: World) -> dict[str, str | None]:
    """How the last deployment of each app has ended."""
    last = {app: world.ledger.deployments(app, 1) for app in APPS}
    return {app: rows[0].outcome for app, rows in last.items() if rows}


def recovered(world: World, apps: tuple[str, ...] = APPS) -> set[str | None]:
    """Recovers each app by itself, as its next command does; in which directions."""
    found = set()
    for app in apps:
        services = world.process()
        with services.locks.app(app):
            found.add(recover(services, app).direction)
    return found


def expect_rest(world: World, expected: dict[str, str | None]) -> None:
    """Both are at rest, what serves is what the records say, and another recovery changes nothing."""
    assert served(world) == expected
    for app in APPS:
        live = world.live(app)
        assert (live[0] if live else None) == expected[app]
        assert world.ledger.open_deployment(app) is None
        assert world.proxy.disk.get(app, world.ledger.traffic(app)) == world.ledger.traffic(app)
        for container in world.workloads.containers(app):
            slot = world.ledger.slots(app)[container.slot]
            assert (slot.version, container.running) == (container.version, slot.state != "cold")
    before = [world.ledger.slots(app) for app in APPS]
    assert recovered(world) == {None}
    assert [world.ledger.slots(app) for app in APPS] == before


SCENES: dict[str, tuple[Callable[[World], None], dict[str, str | None], dict[str, str | None]]] = {
    # what was there before, what served before, what serves after
    "first releases": (empty, {APP: None, OTHER: None}, {APP: "v1", OTHER: "v1"}),
    "second releases": (both_live, {APP: "v1", OTHER: "v1"}, {APP: "v2", OTHER: "v2"}),
    "one of them is new": (one_live, {APP: "v1", OTHER: None}, {APP: "v2", OTHER: "v1"}),
    "second releases that settle": (settling, {APP: "v1", OTHER: "v1"}, {APP: "v2", OTHER: "v2"}),
}
scenes = pytest.mark.parametrize("scene", SCENES)
# Those that are interrupted many times.
main_scenes = pytest.mark.parametrize("scene", list(SCENES) if FULL else ["second releases", "one of them is new"])
POINTS = ("before", "acted", "after")


def staged(stage: Stage, scene: str) -> tuple[World, dict[str, str | None], dict[str, str | None]]:
    """A world with the scene set up. From now on no mixture is ever served."""
    before, old, new = SCENES[scene]
    world = stage.world(before)
    assert served(world) == old
    world.boundaries.clear()

    def watch(call: str) -> None:
        assert served(world) in (old, new), f"a mixture after {call}"

    world.faults.watch = watch
    return world, old, new


@scenes
def test_all_go_live_in_one_instant(stage: Stage, scene: str) -> None:
    world, old, new = staged(stage, scene)
    world.faults.arm(None)
    results = together(world, "next")
    assert [(each.config and each.config.app.name, each.version) for each in results] == [
        (app, new[app]) for app in APPS
    ]
    assert [each.previous for each in results] == [old[app] for app in APPS]
    assert outcomes(world) == dict.fromkeys(APPS, "succeeded")
    assert world.faults.calls.count("traffic.apply_all") == 1
    assert "traffic.apply" not in world.faults.calls
    for app in APPS:
        deployment = world.ledger.deployments(app, 1)[0]
        journal = [(step.name, step.args) for step in world.ledger.steps(deployment.id)]
        assert journal == list(world.ledger.plan_of(deployment.id).steps)
        assert all(step.state == "done" for step in world.ledger.steps(deployment.id))
    expect_rest(world, new)


def test_all_start_before_any_is_probed(world: World) -> None:
    both_live(world)
    world.boundaries.clear()
    together(world, "v2")
    begun = [step for when, step in world.boundaries if when == "before"]
    expected = ["build", "vacate", "create", "start", "register", "probe", "keep", "inspect", "switch", "reroute"]
    first = {step: begun.index(step) for step in expected}
    last = {step: len(begun) - 1 - begun[::-1].index(step) for step in expected}
    assert last["build"] < first["vacate"]
    assert last["register"] < first["probe"]
    assert last["probe"] < first["keep"]
    assert last["inspect"] < first["switch"]
    assert last["switch"] == first["switch"] + 1
    assert last["switch"] < first["reroute"]


@pytest.mark.parametrize("bad", APPS)
@scenes
def test_one_that_does_not_become_ready_takes_all_back(stage: Stage, scene: str, bad: str) -> None:
    world, old, _ = staged(stage, scene)
    probe = world.prober.probe
    theirs = lambda address: any(c.address == address for c in world.workloads.containers(bad))  # noqa: E731
    world.prober.unready.add("v1" if old[bad] is None else "v2")

    def unready(address: str, spec: Any) -> Any:
        known = set(world.prober.unready)
        world.prober.unready = known if theirs(address) else set()
        try:
            return probe(address, spec)
        finally:
            world.prober.unready = known

    world.prober.probe = unready  # type: ignore[method-assign]
    with pytest.raises(ProbeFailed, match=f"^{bad}: .* nothing was switched: other, mymodel serve what") as failed:
        together(world, "next")
    assert failed.value.exit_code == 3
    good = next(app for app in APPS if app != bad)
    assert outcomes(world) == {bad: "failed", good: "undone"}
    reason = world.ledger.deployments(good, 1)[0].reason
    assert reason.startswith(f"{bad}, released together with it, failed: ")
    expect_rest(world, old)


@main_scenes
@pytest.mark.parametrize("when", POINTS)
def test_a_crash_at_any_step_is_recovered_in_the_same_direction(stage: Stage, scene: str, when: str) -> None:
    world, _, _ = staged(stage, scene)
    together(world, "next")
    steps = [step for at, step in world.boundaries if at == "before"]
    switches = [number for number, step in enumerate(steps) if step == "switch"]
    chosen = range(len(steps)) if FULL else sorted({*range(0, len(steps), 4), *switches, switches[-1] + 1})
    for number in chosen:
        world, old, new = staged(stage, scene)
        crash_at(world, when, number)
        with pytest.raises(Crash):
            together(world, "next")
        world.boundary = lambda *arguments: None
        # The traffic moves after the last switch was journaled, and before the first one is recorded.
        moved = number > switches[-1] or (number in switches and when != "before")
        directions = recovered(world, APPS if number % 2 else APPS[::-1])
        # One may be at its end already, or not have begun.
        assert directions - {None} <= {"finish" if moved else "undo"}, (when, number, steps[number])
        if moved:
            assert outcomes(world) == dict.fromkeys(APPS, "succeeded")
        expect_rest(world, new if moved else old)


def crash_at(world: World, when: str, number: int) -> None:
    """Crashes at this boundary of the step with this number, counted by how often `when` comes."""
    seen = 0

    def boundary(at: str, step: str) -> None:
        nonlocal seen
        if at == when:
            seen += 1
            if seen == number + 1:
                raise Crash

    world.boundary = boundary


@main_scenes
def test_a_crash_at_any_call_to_a_port_is_recovered_in_the_same_direction(stage: Stage, scene: str) -> None:
    world, _, _ = staged(stage, scene)
    world.faults.arm(None)
    together(world, "next")
    calls = list(world.faults.calls)
    switch = calls.index("traffic.apply_all")
    for at in changing(calls, switch):
        world, old, new = staged(stage, scene)
        world.faults.arm(at, Crash())
        with pytest.raises(Crash):
            together(world, "next")
        world.faults.arm(None)
        expected = {None, "finish"} if at > switch else {None, "undo"}
        assert recovered(world, APPS if at % 2 else APPS[::-1]) <= expected, (at, calls[at])
        expect_rest(world, new if at > switch else old)


def changing(calls: list[str], switch: int) -> list[int]:
    """The calls around the switch, and some of the others."""
    if FULL:
        return list(range(len(calls)))
    return sorted({*range(0, len(calls), 40), *range(max(0, switch - 4), min(len(calls), switch + 12))})


@main_scenes
def test_a_failure_at_any_call_leaves_all_or_none(stage: Stage, scene: str) -> None:
    world, _, _ = staged(stage, scene)
    world.faults.arm(None)
    together(world, "next")
    calls = list(world.faults.calls)
    switch = calls.index("traffic.apply_all")
    for at in changing(calls, switch):
        world, old, new = staged(stage, scene)
        world.faults.arm(at, DeploymentFailed(f"{calls[at]} failed"))
        try:
            together(world, "next")
        except DeployctlError as error:
            world.faults.arm(None)
            assert (error.exit_code == 4) == (at > switch) or error.exit_code == 3, (at, calls[at], error)
            recovered(world)
            assert served(world) in (old, new)
            assert served(world) == (new if at > switch else old), (at, calls[at])
        world.faults.arm(None)
        expect_rest(world, served(world))


def test_a_switch_that_the_proxy_does_not_confirm_is_undone(world: World) -> None:
    both_live(world)
    apply_all = world.traffic.apply_all

    def refuse(states: Any) -> None:
        world.traffic.apply_all = apply_all  # type: ignore[method-assign]
        raise DeploymentFailed("the proxy did not set it")

    world.traffic.apply_all = refuse  # type: ignore[method-assign]
    with pytest.raises(DeploymentFailed, match=r"^the proxy did not set it; nothing was switched"):
        together(world, "v2")
    assert outcomes(world) == dict.fromkeys(APPS, "failed")
    expect_rest(world, {APP: "v1", OTHER: "v1"})


def test_a_failure_after_the_switch_does_not_stop_the_other(world: World) -> None:
    both_live(world)
    services = world.process()
    go_live = world.ledger.go_live

    def fail(state: Any, traffic: Any) -> None:
        if state.app == OTHER:
            raise DeploymentFailed("the disk is full")
        go_live(state, traffic)

    world.ledger.go_live = fail  # type: ignore[method-assign]
    world.supply.context = "sha256:v2"
    with pytest.raises(Degraded, match=r"^other: v2 is live, but the deployment could not be finished"):
        release_together(services, configs(world))
    assert served(world) == {APP: "v2", OTHER: "v2"}
    assert outcomes(world)[APP] == "succeeded"
    assert world.ledger.open_deployment(OTHER) is not None
    assert recovered(world) == {None, "finish"}
    expect_rest(world, {APP: "v2", OTHER: "v2"})


@pytest.mark.parametrize("step", ["build", "probe", "inspect", "switch"])
def test_a_signal_before_the_switch_undoes_all(world: World, step: str) -> None:
    both_live(world)
    world.supply.context = "sha256:v2"
    services = world.process()

    def boundary(when: str, name: str) -> None:
        if (when, name) == ("before" if step != "switch" else "after", step) and not services.interrupts.pending:
            services.interrupts._received(15, None)  # type: ignore[attr-defined]

    world.boundary = boundary
    with pytest.raises(Interrupted):
        release_together(services, configs(world))
    world.boundary = lambda *arguments: None
    late = step == "switch"
    assert outcomes(world) == dict.fromkeys(APPS, "succeeded" if late else "undone")
    expect_rest(world, dict.fromkeys(APPS, "v2" if late else "v1"))


def test_an_app_without_a_change_stays(world: World) -> None:
    both_live(world)
    world.supply.context = "sha256:v2"
    world.release("v2")
    before = world.ledger.deployments(APP, 1)[0].id
    results = release_together(world.process(), configs(world))
    assert [(each.version, each.deployment is None) for each in results] == [("v2", False), ("v2", True)]
    assert world.ledger.deployments(APP, 1)[0].id == before
    results = release_together(world.process(), configs(world))
    assert [each.deployment for each in results] == [None, None]
    expect_rest(world, {APP: "v2", OTHER: "v2"})


# --- refusals ---------------------------------------------------------------------------------------------------


def refused(world: World, configurations: list[Config], text: str) -> None:
    """Nothing changes."""
    world.supply.context = "sha256:v2"
    before = [world.ledger.deployments(app) for app in APPS]
    with pytest.raises(UsageError, match=text):
        release_together(world.process(), configurations)
    assert [world.ledger.deployments(app) for app in APPS] == before


def test_what_cannot_switch_together_is_refused(world: World) -> None:
    both_live(world)
    refused(world, [world.config(), world.config()], "app mymodel was given twice")
    for strategy in ("canary", "recreate"):
        lines = f'strategy = "{strategy}"' + ('\nstages = ["5% 5m"]' if strategy == "canary" else "")
        refused(world, [configs(world)[0], world.config(rollout=lines)], f'rollout.strategy of mymodel is "{strategy}"')
    refused(world, [world.config(), world.config(OTHER)], "is the route of app mymodel")
    expect_rest(world, {APP: "v1", OTHER: "v1"})


def test_what_fits_alone_but_not_together_is_refused(world: World) -> None:
    both_live(world)
    world.host.uses |= {container.id: 3 << 30 for app in APPS for container in world.workloads.containers(app)}
    world.host.available = 5 << 30
    refused(world, configs(world), r"do not fit into the memory together: they need 3 GiB \+ 3 GiB, and 5 GiB of")
    expect_rest(world, {APP: "v1", OTHER: "v1"})
    world.host.available = 6 << 30
    assert [each.version for each in release_together(world.process(), configs(world))] == ["v2", "v2"]


def test_what_does_not_fit_together_is_released_by_force(world: World) -> None:
    both_live(world)
    world.host.uses |= {container.id: 3 << 30 for app in APPS for container in world.workloads.containers(app)}
    world.host.available = 5 << 30
    world.supply.context = "sha256:v2"
    assert [each.version for each in release_together(world.process(), configs(world), force=True)] == ["v2", "v2"]


def test_an_app_with_a_candidate_is_refused(world: World) -> None:
    both_live(world)
    world.rollout = 'strategy = "canary"\nstages = ["5% 5m"]'
    world.release("v2")
    world.rollout = ""
    refused(world, configs(world), "v2 is a candidate")


def test_two_new_apps_with_one_route_are_refused(world: World) -> None:
    refused(world, [world.config(), world.config(OTHER)], "is the route of app mymodel")
    assert world.ledger.apps() == []


@pytest.mark.parametrize("held", APPS)
def test_an_app_that_another_command_works_on(world: World, held: str) -> None:
    both_live(world)
    services = world.process()
    with services.locks.app(held), pytest.raises(Locked, match=held):
        together(world, "v2")
    assert outcomes(world) == dict.fromkeys(APPS, "succeeded")
    with services.locks.app(OTHER), services.locks.app(APP):
        pass  # both are free again


# --- after the switch -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", APPS)
def test_one_that_goes_bad_while_it_settles_takes_all_back(world: World, bad: str) -> None:
    settling(world)
    world.supply.context = "sha256:v2"
    services = world.process()
    results = release_together(services, configs(world))
    assert served(world) == {APP: "v2", OTHER: "v2"}
    world.proxy.counted[bad, "green"] = Sample(1_000, 300, 0, {"10/5": 700})
    with pytest.raises(DeploymentFailed, match=f"^{bad}: ") as failed:
        watch_together(services, results, lambda text: None)
    good = next(app for app in APPS if app != bad)
    assert f"rolled back with it: {good}" in failed.value.message
    kinds = {app: world.ledger.deployments(app, 1)[0].kind for app in APPS}
    assert kinds == {bad: "auto-rollback", good: "rollback"}
    assert world.ledger.deployments(good, 1)[0].reason == f"{bad}, released together with it, failed its bake"
    assert world.ledger.versions(good)["v2"].bad_at is None
    expect_rest(world, {APP: "v1", OTHER: "v1"})


def test_all_are_stable_after_their_first_seconds(world: World) -> None:
    settling(world)
    world.supply.context = "sha256:v2"
    services = world.process()
    results = release_together(services, configs(world))
    begun = world.time
    ended = watch_together(services, results, lambda text: None)
    assert {app: bake.outcome for app, bake in ended.items()} == dict.fromkeys(APPS, "stable")
    assert world.time - begun < 5, "they settle at the same time"
    assert all(world.ledger.versions(app)["v2"].stable_at for app in APPS)


def test_detached_nothing_is_watched(world: World) -> None:
    settling(world)
    world.supply.context = "sha256:v2"
    services = world.process()
    results = release_together(services, configs(world))
    begun = world.time
    ended = watch_together(services, results, lambda text: None, detach=True)
    assert {app: bake.outcome for app, bake in ended.items()} == dict.fromkeys(APPS, "baking")
    assert world.time == begun
