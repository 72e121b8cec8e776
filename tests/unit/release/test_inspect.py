"""The last look before the switch: what has changed since the probes undoes the deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import DeployctlError
from tests.fakes.world import APP, World
from tests.unit.stage import Stage


def two_versions(world: World) -> None:
    world.replicas = 2
    world.release("v1")
    world.release("v2")


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world(two_versions)


def second(world: World, version: str) -> Container:
    return next(each for each in world.workloads.containers(APP) if (each.version, each.index) == (version, 2))


def removed(world: World, version: str) -> None:
    world.workloads.remove(second(world, version))


def all_removed(world: World, version: str) -> None:
    for container in world.workloads.containers(APP):
        if container.version == version:
            world.workloads.remove(container)


def another(world: World, version: str) -> None:
    """Somebody has removed it, and started another one with its name and its address."""
    container = second(world, version)
    world.engine.containers.pop(container.id)
    world.engine.containers["another"] = replace(container, id="another")


def ended(world: World, version: str) -> None:
    world.engine.change(second(world, version), state="exited", exit_code=137)


def out_of_memory(world: World, version: str) -> None:
    world.engine.change(second(world, version), state="exited", exit_code=137, out_of_memory=True)


def restarted(world: World, version: str) -> None:
    container = second(world, version)
    world.engine.change(container, restarts=container.restarts + 1, exit_code=3)


def down_at_the_edge(world: World, version: str) -> None:
    world.proxy.failing.add((APP, second(world, version).slot))


# What happens to a version after its probes: what the message says about it, and why.
HAPPENINGS: dict[Callable[[World, str], None], tuple[str, str]] = {
    removed: ("mymodel-{0}-{1}-2 is no longer ready", "it was removed"),
    all_removed: ("the containers of {0} in {1} are gone", "they were removed in the meantime"),
    another: ("mymodel-{0}-{1}-2 is no longer ready", "it is not the container that passed the probes"),
    ended: ("mymodel-{0}-{1}-2 is no longer ready", "it exited with exit code 137"),
    out_of_memory: ("mymodel-{0}-{1}-2 is no longer ready", "out of memory"),
    restarted: ("mymodel-{0}-{1}-2 is no longer ready", "it exited, and the engine restarted it"),
    down_at_the_edge: ("no healthy server for mymodel in {1}", "the proxy reports: 1 DOWN, 2 DOWN"),
}


def before_inspect(world: World, happens: Callable[[World, str], None], version: str) -> None:
    def boundary(when: str, step: str) -> None:
        if (when, step) == ("before", "inspect"):
            happens(world, version)

    world.boundary = boundary
    world.boundaries.clear()


def check(error: DeployctlError, happens: Callable[[World, str], None], version: str, slot: str) -> None:
    message, why = (text.format(version, slot) for text in HAPPENINGS[happens])
    if happens in (all_removed, another) and version == "v1":
        # The list of a warm version's containers is older.
        message, why = "is no longer ready", "it was removed"
    assert message in f"{error.message}; {error.why}"
    assert why in error.why
    assert error.exit_code == 3


@pytest.mark.parametrize("happens", HAPPENINGS)
def test_a_release_is_undone(world: World, happens: Callable[[World, str], None]) -> None:
    before_inspect(world, happens, "v3")
    traffic = world.traffic.running(APP)
    with pytest.raises(DeployctlError) as caught:
        world.release("v3")
    check(caught.value, happens, "v3", "blue")
    assert world.live() == ("v2", "green")
    assert world.served() == "v2"
    assert ("acted", "switch") not in world.boundaries
    # It was shielded by v1, which was removed for v3.
    assert world.traffic.running(APP) == traffic.unshielded
    assert world.ledger.open_deployment(APP) is None
    assert world.ledger.deployments(APP, 1)[0].outcome == "failed"
    assert [each.version for each in world.workloads.containers(APP) if each.running] == ["v2", "v2"]


@pytest.mark.parametrize("happens", HAPPENINGS)
def test_a_rollback_to_a_warm_version_is_undone(world: World, happens: Callable[[World, str], None]) -> None:
    before_inspect(world, happens, "v1")
    with pytest.raises(DeployctlError) as caught:
        world.rollback()
    check(caught.value, happens, "v1", "blue")
    assert world.live() == ("v2", "green")
    assert world.served() == "v2"
    assert ("acted", "switch") not in world.boundaries


def test_what_ended_shows_its_log(world: World) -> None:
    before_inspect(world, ended, "v3")
    with pytest.raises(DeployctlError) as caught:
        world.release("v3")
    assert "mymodel-v3-blue-2 gives up" in caught.value.details
    assert "deployctl logs v3" in caught.value.hint
    # Its containers are gone: the journal has their logs.
    (step,) = (step for step in world.ledger.steps(3) if step.name == "inspect")
    assert "mymodel-v3-blue-2 gives up" in str(step.detail["log"])


def test_exits_before_the_probes_do_not_count(world: World) -> None:
    """As of a model that needs a second attempt to start."""

    def boundary(when: str, step: str) -> None:
        if (when, step) == ("before", "probe"):
            restarted(world, "v3")

    world.boundary = boundary
    world.release("v3")
    assert world.served() == "v3"
