"""The contract of `Workloads`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from orchestrator.adapters.docker.addresses import address, app_number_of, subnet_around
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import NetworkSpec
from orchestrator.errors import EngineError
from tests.engine.contracts.rig import Rig

pytestmark = pytest.mark.engine


def test_the_engine_reports_its_version(rig: Rig) -> None:
    assert sorted(rig.workloads.version()) == ["api", "version"]


def test_an_engine_has_an_identity_that_stays(rig: Rig) -> None:
    engine = rig.workloads.engine()
    assert engine.id and engine.host
    assert rig.workloads.engine() == engine
    assert str(engine) == f"{engine.name} ({engine.host})"


def test_a_created_container_is_what_was_asked_for(rig: Rig) -> None:
    version = rig.build()
    container = rig.create(version, "green", 2)
    assert container.name == rig.workloads.name(rig.app, "v1", "green", 2)
    assert container.name.startswith(f"{rig.app}-v1-green-2")
    assert (container.app, container.version, container.slot, container.index) == (rig.app, "v1", "green", 2)
    assert (container.deployment, container.image_id) == (7, version.image_id)
    assert (container.state, container.kept_running) == ("created", False)
    assert container.address == address(subnet_around(container.address), rig.app_number, "green", 2)
    assert (container.exit_code, container.restarts) == (0, 0)
    assert rig.workloads.inspect(container.id) == container
    assert rig.workloads.containers() == (container,)
    assert list(rig.access.logs(container, tail=10)) == []


def test_a_container_is_compared_with_what_was_asked_for(rig: Rig) -> None:
    version = rig.build()
    container = rig.run(version)
    spec = rig.spec(version)
    assert rig.workloads.differences(container, spec) == []
    rig.workloads.keep_running(container)
    assert rig.workloads.differences(rig.now(container), spec) == []
    for changes, word in (
        ({"command": ("sh", "-c", "true")}, "command"),
        ({"environment": {"SECRET": "value"}}, "environment"),
        ({"user": "1:1"}, "user"),
        ({"volumes": ("/etc:/host:ro",)}, "volumes"),
    ):
        other = replace(spec, runtime=replace(spec.runtime, **changes))
        [difference] = rig.workloads.differences(container, other)
        assert word in difference
        assert "value" not in difference
    rig.workloads.remove(container)
    with pytest.raises(EngineError):
        rig.workloads.differences(container, spec)


def test_a_container_has_its_labels(rig: Rig) -> None:
    container = rig.create(rig.build(), "green", 2)
    expected = {
        "deployctl.state": rig.state_id,
        "deployctl.app": rig.app,
        "deployctl.version": "v1",
        "deployctl.slot": "green",
        "deployctl.index": "2",
        "deployctl.number": "3",
        "deployctl.deployment": "7",
        "deployctl.manifest": "sha256:manifest",
        "deployctl.config": "digest of the settings",
        "deployctl.record": "the record",
    }
    for seen in (container, rig.now(container), *rig.workloads.containers()):
        assert dict(seen.labels) == expected


def test_start_stop_and_start_again(rig: Rig) -> None:
    container = rig.create(rig.build())
    rig.workloads.start(container)
    assert rig.now(container) == replace(container, state="running")
    rig.workloads.start(container)
    assert rig.now(container) == replace(container, state="running"), "starting a running one changes nothing"
    for _ in range(2):
        rig.workloads.keep_running(container)
        assert rig.now(container) == replace(container, state="running", kept_running=True)
    for _ in range(2):
        rig.workloads.stop(container)
        stopped = rig.now(container)
        assert (stopped.state, stopped.kept_running, stopped.address) == ("exited", False, container.address)
    rig.workloads.start(container)
    assert rig.now(container).running


def test_a_restart_leaves_everything_else_as_it_was(rig: Rig) -> None:
    container = rig.run(rig.build())
    rig.workloads.keep_running(container)
    before = rig.now(container)
    rig.workloads.restart(container)
    assert rig.now(container) == before
    assert rig.access.memory_kills(container, 0) == 0
    rig.workloads.stop(container)
    rig.workloads.restart(container)
    assert rig.now(container).running
    rig.workloads.remove(container)
    with pytest.raises(EngineError):
        rig.workloads.restart(container)


def test_stopping_what_was_never_started_changes_nothing(rig: Rig) -> None:
    container = rig.create(rig.build())
    rig.workloads.stop(container)
    assert rig.now(container) == container


def test_a_paused_container_goes_on(rig: Rig) -> None:
    container = rig.run(rig.build())
    with pytest.raises(EngineError):
        rig.workloads.resume(container)
    rig.pause(container)
    assert rig.now(container).state == "paused"
    rig.workloads.resume(container)
    assert rig.now(container) == container


def test_a_paused_container_can_be_stopped(rig: Rig) -> None:
    container = rig.run(rig.build())
    rig.pause(container)
    rig.workloads.stop(container)
    assert rig.now(container).state == "exited"


def test_remove(rig: Rig) -> None:
    version = rig.build()
    created, running, stopped = rig.create(version), rig.run(version, index=2), rig.run(version, index=3)
    rig.workloads.stop(stopped)
    for container in (created, running, stopped):
        rig.workloads.remove(container)
        rig.workloads.remove(container)
        assert rig.workloads.inspect(container.id) is None
    assert rig.workloads.containers() == ()


def test_what_is_gone_can_be_stopped_and_nothing_else(rig: Rig) -> None:
    container = rig.create(rig.build())
    rig.workloads.remove(container)
    rig.workloads.stop(container)
    refused: list[Callable[[], object]] = [
        lambda: rig.workloads.start(container),
        lambda: rig.workloads.keep_running(container),
        lambda: rig.workloads.resume(container),
        lambda: rig.workloads.restart(container),
        lambda: rig.workloads.reconnect(container, rig.app_number, NetworkSpec()),
    ]
    for call in refused:
        with pytest.raises(EngineError):
            call()


def test_a_name_is_given_once(rig: Rig) -> None:
    version = rig.build()
    container = rig.create(version)
    with pytest.raises(EngineError):
        rig.create(version)
    assert rig.workloads.containers() == (container,)
    rig.workloads.remove(container)
    assert rig.create(version).name == container.name


def test_an_address_is_used_by_one_container_at_a_time(rig: Rig) -> None:
    version = rig.build()
    # Two apps with one number must not be; here they are the way to two containers with one address.
    first, second = rig.create(version), rig.create(replace(version, app=f"a{rig.state_id}"))
    assert first.address == second.address
    rig.workloads.start(first)
    with pytest.raises(EngineError):
        rig.workloads.start(second)
    assert not rig.now(second).running
    rig.workloads.stop(first)
    rig.workloads.start(second)
    assert rig.now(second).running


def test_no_container_without_its_image(rig: Rig) -> None:
    version = replace(rig.build(), image_id="sha256:" + "f" * 64)
    with pytest.raises(EngineError):
        rig.create(version)
    assert rig.workloads.containers() == ()


def test_no_container_without_its_networks(rig: Rig) -> None:
    version = rig.build()
    assert rig.workloads.missing_networks(["no-such", "bridge"]) == ("no-such",)
    assert rig.workloads.missing_networks([]) == ()
    for networks in (("no-such",), ("bridge", "no-such")):
        with pytest.raises(EngineError, match="no-such"):
            rig.create(version, networks=networks)
        assert rig.workloads.containers() == ()
    # The address is still that in the network of all apps.
    container = rig.run(version, networks=("bridge",))
    assert app_number_of(subnet_around(container.address), container.address) == rig.app_number


def test_a_container_that_ends_at_once_was_started(rig: Rig) -> None:
    container = rig.run(rig.build(ends=True))
    ended = rig.ended(container)
    assert (ended.exit_code, ended.restarts, ended.kept_running) == (1, 0, False)
    assert len(list(rig.access.logs(ended, tail=10))) == 2
    (line,) = rig.access.logs(ended, tail=1)
    assert "gives up" in line


def test_containers_come_in_order_of_their_names_and_by_app(rig: Rig) -> None:
    version = rig.build()
    theirs = replace(version, app=f"a{rig.state_id}")
    created = [rig.create(version, "green"), rig.create(version, "blue", 2), rig.create(version, "blue", 1)]
    rig.app_number += 1
    created.append(rig.create(theirs))
    expected = tuple(sorted(created, key=lambda container: container.name))
    assert rig.workloads.containers() == expected
    assert rig.workloads.containers(rig.app) == tuple(c for c in expected if c.app == rig.app)
    assert rig.workloads.containers(theirs.app) == tuple(c for c in expected if c.app == theirs.app)
    assert rig.workloads.containers("nobody") == ()


def test_the_network_lives_as_long_as_it_is_used(rig: Rig) -> None:
    assert rig.workloads.tidy() is False
    version = rig.build()
    first, second = rig.create(version), rig.create(version, "green")
    assert subnet_around(first.address) == subnet_around(second.address)
    rig.workloads.remove(first)
    assert rig.workloads.tidy() is False
    rig.workloads.remove(second)
    assert rig.workloads.tidy() is True
    assert rig.workloads.tidy() is False
    again = rig.create(version)
    assert rig.workloads.tidy() is False
    rig.workloads.remove(again)
    assert rig.workloads.tidy() is True


def test_replicas_created_at_the_same_moment_share_one_network(rig: Rig) -> None:
    version = rig.build()
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            created = list(pool.map(lambda index: rig.create(version, index=index), range(1, 5)))
        assert len({subnet_around(container.address) for container in created}) == 1
        for container in created:
            rig.workloads.start(container)
        assert all(rig.now(container).running for container in created)
        for container in created:
            rig.workloads.remove(container)
        assert rig.workloads.tidy() is True
        assert rig.workloads.tidy() is False, "there was one"


def test_a_detached_container_gets_its_address_back(rig: Rig) -> None:
    running, stopped = rig.run(rig.build()), rig.create(rig.build("v2"), "green", 2)
    for container in (running, stopped):
        rig.disconnect(container)
        detached = rig.now(container)
        assert detached.address == ""
        for _ in range(2):
            rig.workloads.reconnect(detached, rig.app_number, NetworkSpec())
            assert rig.now(container) == container
    rig.workloads.start(stopped)
    assert rig.now(stopped) == replace(stopped, state="running")


def test_a_container_at_another_address_gets_its_own(rig: Rig) -> None:
    container = rig.run(rig.build())
    rig.workloads.reconnect(container, rig.app_number + 1, NetworkSpec())
    moved = rig.now(container)
    assert app_number_of(subnet_around(moved.address), moved.address) == rig.app_number + 1
    rig.workloads.reconnect(moved, rig.app_number, NetworkSpec())
    assert rig.now(container) == container


def test_the_network_of_another_state_folder_is_not_used(rig: Rig) -> None:
    version = rig.build()
    name = Names(rig.state_id).network
    if rig.fake is not None:
        rig.fake.foreign_network = True
        theirs = None
    else:
        theirs = rig.client().networks.create(name, labels={"deployctl.state": "another"})
    try:
        with pytest.raises(EngineError, match=f"the network {name} belongs to another state folder of deployctl"):
            rig.create(version)
        assert rig.workloads.containers() == ()
        assert rig.workloads.tidy() is False
    finally:
        if theirs is not None:
            theirs.remove()


def test_a_replica_s_own_address_is_known_without_its_container(rig: Rig) -> None:
    version, spec = rig.build(), NetworkSpec()
    assert rig.workloads.own_addresses(rig.app_number, "blue", 1, spec) == {}
    container = rig.create(version)
    other = rig.create(version, "green", 2)
    assert rig.workloads.own_addresses(rig.app_number, "blue", 1, spec) == {container.address: True}
    rig.workloads.remove(container)
    assert rig.workloads.own_addresses(rig.app_number, "blue", 1, spec) == {container.address: True}
    assert rig.workloads.own_addresses(rig.app_number, "green", 2, spec) == {other.address: True}
    assert rig.workloads.shared_networks(spec) == {}
