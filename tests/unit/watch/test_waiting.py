"""What a release that does not wait says about its bake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.domain.watch.schedule import Job
from orchestrator.errors import HostError
from orchestrator.watch.waiting import Bake, watch_bake
from tests.fakes.world import APP, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    made.release("v1")
    made.bake = "2m"
    made.release("v2")
    yield made
    made.close()


@pytest.fixture
def detached(world: World) -> Callable[[], Bake]:
    def watch() -> Bake:
        bake = watch_bake(world.process(), world.config(), lambda progress: None, detach=True)
        assert bake is not None and bake.outcome == "baking"
        return bake

    return watch


def test_a_bake_that_nothing_watches_is_announced(world: World, detached: Callable[[], Bake]) -> None:
    assert "run: deployctl watchdog install" in detached().why
    world.scheduler.install(Job(APP, "/another", "deploy.toml", 60), "cron.d")
    assert "no watchdog is scheduled" in detached().why
    world.scheduler.install(Job(APP, str(world.folder), "deploy.toml", 60), "cron.d")
    assert detached().why == ""


def test_a_schedule_that_cannot_be_read_fails_no_release(
    world: World, detached: Callable[[], Bake], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(app: str) -> None:
        raise HostError("crontab cannot be read")

    monkeypatch.setattr(world.scheduler, "entries", refuse)
    assert detached().why.endswith("crontab cannot be read")


def test_the_command_that_waits_stops_a_version_that_is_not_kept_warm(world: World) -> None:
    world.keep_warm, world.settle = "0s", "3s"
    world.release("v1")
    world.release("v2")
    assert world.ledger.traffic(APP).fallback == "blue"
    services = world.process()
    bake = watch_bake(services, world.config(), lambda progress: None)
    assert bake is not None and bake.outcome == "stable"
    [kept] = [container for container in world.workloads.containers(APP) if container.version == "v1"]
    assert not kept.running
    assert world.ledger.traffic(APP).fallback is None


def test_the_command_that_waits_leaves_a_version_warm_for_its_time(world: World) -> None:
    world.settle = "3s"
    world.release("v1")
    world.release("v2")
    watch_bake(world.process(), world.config(), lambda progress: None)
    [kept] = [container for container in world.workloads.containers(APP) if container.version == "v1"]
    assert kept.running
