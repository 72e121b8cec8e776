"""The containers' network: isolated apps, networks of the user, and the move from one that cannot be changed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from docker.types import IPAMConfig, IPAMPool

from orchestrator.adapters.docker import ranges
from orchestrator.adapters.docker.workloads import DockerWorkloads
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import Container, NetworkSpec
from orchestrator.errors import EngineError, UsageError
from tests.engine.contracts import conftest
from tests.engine.contracts.rig import Rig
from tests.engine.harness import until

rig = conftest.rig
pytestmark = [pytest.mark.engine, pytest.mark.parametrize("rig", ["real"], indirect=True)]

ICC = "com.docker.network.bridge.enable_icc"
MTU = "com.docker.network.driver.mtu"
RANGE = "10.98.{}.0/24"


@contextmanager
def network(rig: Rig, name: str, third: int, **more: Any) -> Iterator[Any]:
    """A network that deployctl did not make."""
    pool = IPAMPool(subnet=RANGE.format(third))
    made = rig.client().networks.create(name, ipam=IPAMConfig(pool_configs=[pool]), **more)
    try:
        yield made
    finally:
        for container in rig.workloads.containers():
            rig.workloads.remove(container)
        made.remove()


def attrs(rig: Rig, name: str) -> dict[str, Any]:
    attributes: dict[str, Any] = rig.client().networks.get(name).attrs
    return attributes


def networks(rig: Rig, container: Container) -> list[str]:
    return sorted(rig.client().containers.get(container.id).attrs["NetworkSettings"]["Networks"])


def network_mode(rig: Rig, container: Container) -> str:
    """The network that the container was created in: newer engines refuse addresses in any other one."""
    return str(rig.client().containers.get(container.id).attrs["HostConfig"]["NetworkMode"])


def reaches(rig: Rig, one: Container, other: Container) -> bool:
    """Whether a program in one container can open a connection to another one."""
    connect = f"exec 3<>/dev/tcp/{other.address}/8080"
    code, _ = rig.client().containers.get(one.id).exec_run(["timeout", "1", "bash", "-c", connect])
    return int(code) == 0


ACCEPT = "$s = IO::Socket::INET->new(LocalPort => 8080, Listen => 9); while ($c = $s->accept) { close $c }"
SERVER = f"FROM deployctl-base:bookworm\nCMD {json.dumps(['perl', '-MIO::Socket::INET', '-e', ACCEPT])}\n"


def serve(rig: Rig, app: str, number: int) -> Container:
    version = replace(rig.build(text=SERVER), app=app)
    rig.app_number = number
    container = rig.run(version)
    until(lambda: reaches(rig, container, container), "it listens")
    return container


def test_containers_of_different_apps_do_not_reach_each_other(rig: Rig) -> None:
    one, other = serve(rig, rig.app, 3), serve(rig, f"b{rig.state_id}", 4)
    for container in (one, other):
        with socket.create_connection((container.address, 8080), 5):
            pass  # the host, where the proxy runs, reaches both
        assert reaches(rig, container, container)
    assert not reaches(rig, one, other)
    assert not reaches(rig, other, one)


def test_range_and_mtu_of_a_new_network_can_be_set(rig: Rig) -> None:
    version = rig.build()
    spec = NetworkSpec(f"models-{rig.state_id}", RANGE.format(101), 1400)
    container = rig.workloads.create(replace(rig.spec(version), app_number=1, network=spec))
    made = attrs(rig, spec.name)
    assert made["IPAM"]["Config"][0]["Subnet"] == spec.subnet
    assert (made["Options"][ICC], made["Options"][MTU]) == ("false", "1400")
    assert container.address == "10.98.101.64"
    assert network_mode(rig, container) == spec.name
    rig.workloads.start(container)
    code, output = rig.client().containers.get(container.id).exec_run(["cat", "/sys/class/net/eth0/mtu"])
    assert (code, output.strip()) == (0, b"1400")
    # What another network has already is refused.
    with pytest.raises(UsageError, match=r"engine\.subnet: 10\.98\.101\.0/24 is not free"):
        rig.workloads.create(
            replace(rig.spec(version, "green"), app_number=1, network=replace(spec, name="b" + spec.name))
        )
    rig.workloads.remove(container)
    assert rig.workloads.tidy() is True


def test_the_networks_are_named_when_no_range_is_free(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BLOCKS", ("10.98.64.0/18",))
    monkeypatch.setattr(ranges, "SMALL_BLOCKS", ("10.98.128.0/21",))
    name = f"deployctl-x{rig.state_id}"
    rig.app_number = 15
    with network(rig, name, 70, labels={"deployctl.role": "network"}):
        rig.workloads.check_network(NetworkSpec(), 15)
        container = rig.run(rig.build())
        own = Names(rig.state_id).network
        assert attrs(rig, own)["IPAM"]["Config"][0]["Subnet"] == "10.98.128.0/21"
        assert (networks(rig, container), container.address) == ([own], "10.98.131.192")
        # Now nothing is left for another state folder; this one has its network.
        rig.workloads.check_network(NetworkSpec(), 15)
        other = DockerWorkloads(rig.client, Names(f"o{rig.state_id}"))
        other.check_network(NetworkSpec(subnet="10.98.136.0/24"), 1)
        with pytest.raises(UsageError, match="no address range is free") as caught:
            other.check_network(NetworkSpec(), 1)
        assert "docker network rm " in caught.value.hint and own not in caught.value.hint
        assert {f"{name}  10.98.70.0/24  no container", f"{own}  10.98.128.0/21  1 container"} <= {
            *caught.value.details.splitlines()
        }
        with pytest.raises(UsageError, match="15 apps, and this is app number 16"):
            rig.workloads.check_network(NetworkSpec(), 16)
        rig.workloads.remove(container)
        assert rig.workloads.tidy() is True


def test_a_network_that_exists_is_used_and_stays(rig: Rig) -> None:
    rig.app_number = 1
    with network(rig, Names(rig.state_id).network, 102, options={MTU: "1400"}) as theirs:
        container = rig.run(rig.build())
        assert container.address == "10.98.102.64"
        assert rig.workloads.own_addresses(1, "blue", 1, NetworkSpec()) == {"10.98.102.64": False}
        assert rig.workloads.shared_networks(NetworkSpec()) == {theirs.name: False}
        for spec, words in (
            (NetworkSpec(subnet="10.98.103.0/24"), "engine.subnet: .* has the range 10.98.102.0/24"),
            (NetworkSpec(mtu=1300), "engine.mtu: .* has the MTU 1400"),
        ):
            with pytest.raises(UsageError, match=words):
                rig.workloads.reconnect(container, 1, spec)
        rig.workloads.remove(container)
        assert rig.workloads.tidy() is False
        theirs.reload()


def test_a_network_without_a_range_of_its_own_is_refused_with_the_next_step(rig: Rig) -> None:
    theirs = rig.client().networks.create(Names(rig.state_id).network)
    try:
        container = rig.create(rig.build())
        with pytest.raises(EngineError) as caught:
            rig.workloads.start(container)
        assert "docker network create --subnet" in caught.value.hint
        rig.workloads.remove(container)
    finally:
        theirs.remove()


def test_new_containers_leave_a_network_that_is_not_isolated_and_running_ones_stay(rig: Rig) -> None:
    name = Names(rig.state_id).network
    rig.app_number = 1
    old = rig.run(rig.build())
    # Now its network is what an earlier deployctl left: not isolated.
    api = rig.client().api
    api.disconnect_container_from_network(old.id, name, force=True)
    api.remove_network(name)
    labels = {"deployctl.state": rig.state_id, "deployctl.role": "network"}
    pool = IPAMPool(subnet=RANGE.format(104), iprange="10.98.104.128/25")
    rig.client().networks.create(name, ipam=IPAMConfig(pool_configs=[pool]), labels=labels)
    api.connect_container_to_network(old.id, name, ipv4_address="10.98.104.64")
    assert rig.workloads.shared_networks(NetworkSpec()) == {name: True}
    new = rig.run(rig.build("v2"), "green")
    assert (networks(rig, rig.now(old)), rig.now(old).address) == ([name], "10.98.104.64")
    assert networks(rig, new) == [f"{name}-2"]
    assert network_mode(rig, new) == f"{name}-2"
    own = rig.workloads.own_addresses(1, "blue", 1, NetworkSpec())
    assert own.pop("10.98.104.64")
    assert len(own) == 1
    # When the old one has ended, its network is made again, and the containers of the next release go there.
    rig.workloads.stop(old)
    assert rig.workloads.shared_networks(NetworkSpec()) == {}
    last = rig.run(rig.build("v3"), "green", 2)
    assert networks(rig, last) == [name]
    assert attrs(rig, name)["Options"][ICC] == "false"
    # A container that was kept moves before it starts again, and the second network is removed with its last one.
    rig.workloads.remove(new)
    rig.workloads.reconnect(old, 1, NetworkSpec())
    rig.workloads.start(old)
    assert networks(rig, old) == [name]
    assert rig.now(old).address in rig.workloads.own_addresses(1, "blue", 1, NetworkSpec())
    assert [each.name for each in rig.client().networks.list(names=[name])] == [name]


def test_a_stopped_container_whose_network_was_removed_starts_in_the_new_one(rig: Rig) -> None:
    spec = NetworkSpec(f"models-{rig.state_id}", RANGE.format(106))
    rig.app_number = 1
    container = rig.workloads.create(replace(rig.spec(rig.build()), network=spec))
    rig.workloads.start(container)
    rig.workloads.stop(container)
    rig.client().networks.get(spec.name).remove()
    with pytest.raises(EngineError):
        rig.workloads.start(container)
    rig.workloads.reconnect(container, 1, NetworkSpec())
    rig.workloads.start(container)
    moved = rig.now(container)
    assert moved.running
    assert networks(rig, moved) == [Names(rig.state_id).network]
    assert moved.address in rig.workloads.own_addresses(1, "blue", 1, NetworkSpec())
