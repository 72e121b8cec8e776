"""Recovery repairs containers of the live version, and a lost ledger is rebuilt from labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.moments import iso
from orchestrator.domain.record import labels as record
from orchestrator.domain.rollout.way_back import way_back
from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import EngineError, LedgerDamaged, UsageError
from orchestrator.release.observe import observe
from orchestrator.release.rebuild import rebuild_ledger
from orchestrator.release.workloads import workload_spec
from tests.fakes import engine
from tests.fakes.world import APP, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.replicas = 2
    yield world
    world.close()


def first(world: World, version: str) -> Container:
    return next(c for c in world.workloads.containers(APP) if c.version == version)


FAULTS: dict[str, tuple[Callable[[World, Container], object], str]] = {
    "stopped": (lambda world, container: world.workloads.stop(container), "started again"),
    "paused": (lambda world, container: world.engine.change(container, state="paused"), "unpaused"),
    "detached": (lambda world, container: world.engine.change(container, address=""), "reconnected to its network"),
    "another address": (
        lambda world, container: world.engine.change(container, address="10.0.0.1"),
        "reconnected to its network",
    ),
    "removed": (lambda world, container: world.workloads.remove(container), "recreated"),
    "not restarted": (
        lambda world, container: world.engine.change(container, kept_running=False),
        "automatic restart enabled",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_live_container_is_repaired(world: World, fault: str) -> None:
    world.release("v1")
    world.release("v2")
    before = world.facts()
    act, words = FAULTS[fault]
    act(world, first(world, "v2"))
    assert world.facts() != before or fault in ("detached", "another address")
    recovered = world.recover()
    assert len(recovered.repaired) == 1
    assert words in recovered.repaired[0]
    assert recovered.failed == []
    assert world.facts() == before
    assert {c.address for c in world.workloads.containers(APP) if c.version == "v2"} == {"10.213.0.96", "10.213.0.97"}
    assert world.recover().repaired == []


def test_all_live_containers_are_recreated(world: World) -> None:
    world.release("v1")
    before = world.facts()
    for container in world.workloads.containers(APP):
        world.workloads.remove(container)
    assert len(world.recover().repaired) == 2
    assert world.facts() == before
    assert world.served() == "v1"


def test_a_container_that_cannot_be_repaired_does_not_stop_a_rollback(world: World) -> None:
    world.release("v1")
    world.release("v2")
    removed = first(world, "v2")
    world.workloads.remove(removed)
    world.engine.images.pop(f"{APP}:v2")
    recovered = world.recover()
    assert recovered.repaired == []
    assert recovered.failed == [
        f"the engine could not create the container {removed.name}: No such image: {removed.image_id}"
    ]
    world.rollback()
    assert world.served() == "v1"


def lose(world: World) -> None:
    world.close()
    for file in world.folder.glob("ledger.db*"):
        file.unlink()


def damaged(world: World) -> None:
    lose(world)
    (world.folder / "ledger.db").write_bytes(b"rubbish " * 1000)


def the_state(world: World) -> object:
    slots = world.ledger.slots(APP)
    versions = world.ledger.versions(APP)
    return (
        {slot: (state.version, state.state) for slot, state in slots.items()},
        {
            name: (v.image, v.image_id, v.manifest, v.parent, v.author, v.git_commit, bool(v.stable_at))
            for name, v in versions.items()
        },
        {name: world.ledger.settings(APP, name)["run"]["replicas"] for name in versions},
        world.ledger.proxy_apps()[0].route,
        dict(world.ledger.proxy_apps()[0].slots.items()),
        world.ledger.app_number(APP),
    )


def scene_warm(world: World) -> None:
    world.release("v1")
    world.release("v2")


def scene_cold(world: World) -> None:
    world.keep_warm = "0s"
    scene_warm(world)


def scene_rolled_back(world: World) -> None:
    scene_warm(world)
    world.rollback()


def scene_first(world: World) -> None:
    world.release("v1")


@pytest.mark.parametrize("routes", ["kept", "lost"])
@pytest.mark.parametrize("scene", [scene_first, scene_warm, scene_cold, scene_rolled_back])
def test_a_lost_ledger_is_rebuilt_from_labels(world: World, scene: Callable[[World], None], routes: str) -> None:
    world.env = 'TOKEN = "secret"'
    scene(world)
    before, served, containers = the_state(world), world.served(), world.facts()["containers"]
    back = way_back(observe(world.services, APP))
    damaged(world)
    if routes == "lost":
        world.proxy.disk.clear()
    world.process()
    with pytest.raises(LedgerDamaged):
        world.ledger.versions(APP)
    assert rebuild_ledger(world.process()) == [APP]
    assert the_state(world) == before
    assert world.ledger.settings(APP, "v1")["environment"] == {"TOKEN": "secret"}
    assert way_back(observe(world.services, APP)) == back
    assert world.served() == served
    world.recover()
    assert list(world.facts()["containers"]) == containers
    assert world.recover().repaired == []
    assert len(list(world.folder.glob("ledger.db.damaged-*"))) >= 1
    world.release("v7")
    assert world.served() == "v7"
    world.rollback()
    assert world.served() == served


@pytest.mark.parametrize(("age", "baking"), [(30, True), (3600, False)])
def test_a_bake_that_may_be_unfinished_begins_anew_in_a_rebuilt_ledger(
    world: World, age: int, baking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release("v1")
    world.bake = "2m"
    world.release("v2")
    monkeypatch.setattr(engine, "CREATED", iso(world.now()))
    world.time += age
    damaged(world)
    rebuild_ledger(world.process())
    assert world.live() == ("v2", "green")
    slot, versions = world.ledger.slots(APP)["green"], world.ledger.versions(APP)
    assert (slot.baking, versions["v2"].stable_at is None) == (baking, baking)
    assert versions["v1"].stable_at is not None
    if baking:
        world.time += 121
        world.watch()
        assert world.ledger.versions(APP)["v2"].stable_at is not None


def test_containers_of_an_interrupted_release_are_removed(world: World) -> None:
    world.release("v1")
    world.release("v2")
    world.rollback()
    container = first(world, "v2")
    world.workloads.remove(container)
    version = world.ledger.versions(APP)["v2"]
    new = world.workloads.create(workload_spec(world.services, world.config(), version, "green", 1, 9))
    world.workloads.start(new)
    damaged(world)
    rebuild_ledger(world.process())
    assert new.id not in {c.id for c in world.workloads.containers(APP)}
    assert world.served() == "v1"


@pytest.mark.parametrize("routes", ["kept", "lost"])
def test_rebuilding_never_removes_live_containers(world: World, routes: str) -> None:
    # A user has changed the restart policy of the live containers.
    world.release("v1")
    world.release("v2")
    for container in world.workloads.containers(APP):
        world.engine.change(container, kept_running=False)
    if routes == "lost":
        world.proxy.disk.clear()
        assert world.proxy.running is not None
        world.proxy.running.clear()
    before = {container.id for container in world.workloads.containers(APP)}
    damaged(world)
    rebuild_ledger(world.process())
    assert {container.id for container in world.workloads.containers(APP)} == before
    if routes == "kept":
        assert world.live() == ("v2", "green")
        world.recover()
        assert world.served() == "v2"


def test_an_intact_ledger_is_not_rebuilt(world: World) -> None:
    world.release("v1")
    with pytest.raises(UsageError, match="in order"):
        rebuild_ledger(world.process())


def test_without_containers_a_ledger_cannot_be_rebuilt(world: World) -> None:
    damaged(world)
    with pytest.raises(UsageError, match="no container of this state folder"):
        rebuild_ledger(world.process())


def test_a_release_is_refused_when_the_ledger_has_no_record_of_containers(world: World) -> None:
    world.release("v1")
    lose(world)
    before = world.facts()["containers"]
    with pytest.raises(LedgerDamaged, match=f"it has no record of {APP}"):
        world.release("v1")
    assert world.facts()["containers"] == before


def test_the_label_contains_no_values(world: World) -> None:
    world.env = 'TOKEN = "hunter2"'
    world.release("v1")
    text = record.write(world.ledger.versions(APP)["v1"], world.ledger.settings(APP, "v1"))
    assert "hunter2" not in text
    assert "TOKEN" not in text


def test_a_container_without_the_label(world: World) -> None:
    world.release("v1")
    evidence = [replace(item, record="") for item in world.access.evidence()]
    rebuilt = record.restore(evidence, APP, "blue", 1, "now")
    assert [(v.name, v.image, v.author) for v in rebuilt.versions] == [("v1", f"{APP}:v1", "unknown")]
    assert [(s.slot, s.version, s.state) for s in rebuilt.slots] == [("blue", "v1", "ready")]


def test_other_containers_are_repaired_when_one_cannot_be(world: World) -> None:
    world.release("v1")
    one, two = world.workloads.containers(APP)
    world.workloads.stop(one)
    world.workloads.stop(two)
    start = world.workloads.start

    def refuse(container: Container) -> None:
        if container.id == one.id:
            raise EngineError("the engine could not start it", why="no space left on device")
        start(container)

    world.workloads.start = refuse  # type: ignore[method-assign]
    recovered = world.recover()
    assert recovered.repaired == [f"{two.name} started again"]
    assert recovered.failed == [f"{one.name}: the engine could not start it: no space left on device"]
