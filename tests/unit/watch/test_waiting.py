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
