"""The proxy's addresses follow the containers, and no request of an app goes to an address that is not its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import UsageError
from orchestrator.release.addresses import current_address
from orchestrator.release.removal import remove
from orchestrator.reports.status import status
from orchestrator.reports.verify import verify
from tests.fakes.world import APP, World

MOVED = "10.214.0.0/18"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def move_network(world: World) -> None:
    """The network is lost, and its range is taken: the next one has another range."""
    world.engine.network, world.engine.subnet = False, MOVED


def lose_containers(world: World) -> None:
    for container in world.workloads.containers():
        world.workloads.remove(container)


def targets(world: World, slot: str = "blue") -> tuple[str, ...]:
    """Where the running proxy sends the requests of a slot."""
    return world.proxy.endpoints[APP, slot].addresses  # type: ignore[index]


def test_after_a_recovery_the_proxy_reaches_the_containers_in_the_new_network(world: World) -> None:
    world.replicas = 2
    world.release("v1")
    assert targets(world) == ("10.213.0.64", "10.213.0.65")
    lose_containers(world)
    move_network(world)
    assert world.recover().failed == []
    assert targets(world) == ("10.214.0.64", "10.214.0.65")
    assert world.ledger.proxy_apps()[0].slots["blue"].addresses == targets(world)
    assert {c.address for c in world.workloads.containers(APP)} == set(targets(world))
    assert world.served() == "v1"
    assert world.recover().repaired == []


def test_a_pass_of_the_watchdog_does_the_same(world: World) -> None:
    world.release("v1")
    lose_containers(world)
    move_network(world)
    assert world.watch().outcome == "acted"
    assert targets(world) == ("10.214.0.64",)
    assert world.served() == "v1"
    assert world.watch().outcome == "healthy"


def test_a_stopped_container_moves_to_the_new_network(world: World) -> None:
    world.keep_warm = "0s"
    world.release("v1")
    world.release("v2")
    for container in world.workloads.containers():
        world.workloads.stop(container)
    move_network(world)
    world.recover()
    assert world.served() == "v2"
    world.rollback()
    assert world.served() == "v1"
    assert targets(world) == ("10.214.0.64",)


def test_a_container_that_cannot_be_recreated_gets_no_request_at_an_address_that_is_not_its_own(world: World) -> None:
    world.release("v1")
    lose_containers(world)
    move_network(world)
    world.engine.images.clear()
    recovered = world.recover()
    assert "could not create the container" in recovered.failed[0]
    assert targets(world) == ("",)
    assert [endpoint.address for endpoint in world.endpoints.health(APP, "blue")] == [""]


def test_an_address_that_stays_the_replica_s_own_is_kept(world: World) -> None:
    world.release("v1")
    lose_containers(world)
    world.engine.images.clear()
    world.recover()
    assert targets(world) == ("10.213.0.64",)


def test_a_warm_version_that_is_lost_with_its_network_gets_no_request(world: World) -> None:
    world.bake = "10m"
    world.release("v1")
    world.release("v2")
    lose_containers(world)
    move_network(world)
    world.recover()
    assert targets(world, "blue") == ("",)
    assert targets(world, "green") == ("10.214.0.96",)
    assert world.served() == "v2"


def misdirect(world: World) -> None:
    """Somebody changes an address in the running proxy."""
    endpoints = world.proxy.endpoints[APP, "blue"]
    world.proxy.endpoints[APP, "blue"] = replace(endpoints, addresses=("10.213.0.128",), version="v9")


def test_changed_addresses_in_the_running_proxy_are_reported_and_repaired(world: World) -> None:
    world.release("v1")
    misdirect(world)
    before = world.facts()
    assert "is 10.213.0.128:8080, recorded is 10.213.0.64:8080" in "; ".join(status(world.process(), APP, "").problems)
    assert "10.213.0.128:8080" in "; ".join(verify(world.process(), APP).problems)
    assert world.facts() == before
    assert any("was set to 10.213.0.64:8080" in text for text in world.recover().repaired)
    assert targets(world) == ("10.213.0.64",)
    assert world.served() == "v1"
    assert status(world.process(), APP, "").problems == ()
    misdirect(world)
    assert world.watch().outcome == "acted"
    assert world.served() == "v1"


def test_a_container_at_another_address_than_the_recorded_one_is_reported(world: World) -> None:
    world.release("v1")
    (container,) = world.workloads.containers(APP)
    world.engine.change(container, address="10.213.40.1")
    problems = "; ".join(status(world.process(), APP, "").problems)
    assert f"the requests for {container.name} to 10.213.0.64, its address is 10.213.40.1" in problems


def container(state: str, address: str) -> Container:
    return Container("c1", "c1", APP, "v1", "blue", 1, 1, "sha256:1", state, address=address)


@pytest.mark.parametrize(
    ("here", "recorded", "owned", "expected"),
    [
        (container("running", "10.0.0.1"), "10.0.0.1", {}, "10.0.0.1"),
        (container("running", "10.1.0.1"), "10.0.0.1", {"10.1.0.1": True}, "10.1.0.1"),
        (container("running", "10.1.0.1"), "10.0.0.1", {"10.1.0.1": False}, "10.1.0.1"),
        # At an address that somebody else gave it: it is reconnected, and gets its own.
        (container("running", "10.9.0.1"), "10.0.0.1", {"10.0.0.1": True}, "10.0.0.1"),
        (container("running", "10.9.0.1"), "10.0.0.1", {"10.1.0.1": True}, ""),
        # It is not connected, so another container may have its address.
        (container("running", ""), "10.0.0.1", {"10.0.0.1": True}, ""),
        (container("paused", ""), "10.0.0.1", {"10.0.0.1": True}, ""),
        (container("restarting", ""), "10.0.0.1", {"10.0.0.1": True}, "10.0.0.1"),
        (container("restarting", "10.0.0.1"), "10.0.0.1", {}, "10.0.0.1"),
        (container("exited", "10.0.0.1"), "10.0.0.1", {"10.0.0.1": True}, "10.0.0.1"),
        # Others may get the address while it does not run.
        (container("exited", "10.0.0.1"), "10.0.0.1", {"10.0.0.1": False}, ""),
        (container("exited", "10.0.0.1"), "10.0.0.1", {}, ""),
        (None, "10.0.0.1", {"10.0.0.1": True}, "10.0.0.1"),
        (None, "10.0.0.1", {"10.1.0.1": True}, ""),
        (None, "", {"10.0.0.1": True}, ""),
        (container("running", "10.0.0.1"), "", {"10.0.0.1": True}, "10.0.0.1"),
    ],
)
def test_the_address_of_a_replica(here: Container | None, recorded: str, owned: dict[str, bool], expected: str) -> None:
    assert current_address(here, recorded, lambda: owned) == expected


def test_without_a_free_range_nothing_is_built(world: World) -> None:
    world.engine.ranges_used_up = True
    with pytest.raises(UsageError, match="no address range is free"):
        world.release("v1")
    assert world.engine.built == []
    assert world.ledger.apps() == []
    world.engine.ranges_used_up = False
    world.release("v1")
    world.engine.ranges_used_up = True
    world.release("v2")


def test_an_app_without_addresses_is_not_built(world: World) -> None:
    world.engine.subnet = "10.99.0.0/24"  # for one app
    world.ledger.app_number("first")
    with pytest.raises(UsageError, match="has addresses for 1 apps, and this is app number 2"):
        world.release("v1")
    assert world.engine.built == []
    assert world.ledger.apps() == ["first"]


def test_a_removed_app_keeps_its_addresses(world: World) -> None:
    world.engine.subnet = "10.99.0.0/24"  # for one app
    world.ledger.app_number("first")
    remove(world.process(), "first")
    assert world.ledger.apps() == []
    with pytest.raises(UsageError, match="has addresses for 1 apps, and this is app number 2"):
        world.release("v1")
    assert world.engine.built == []
    assert world.ledger.apps() == []
