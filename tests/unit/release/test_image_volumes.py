"""Volumes that an image declares: what a container writes there is gone with it, which a release says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.close()


def noted(world: World) -> list[str]:
    world.release("v1")
    return [text for text in world.reports.notes if "volume" in text]


def test_a_volume_that_nothing_replaces_is_named(world: World) -> None:
    world.engine.image_volumes = ("/data",)
    [note] = noted(world)
    assert note.startswith("the image declares the volume /data: each container has its own, which is removed with it")
    assert note.endswith('to keep its content: run.volumes = ["NAME:/data"]')


@pytest.mark.parametrize("more", ['volumes = ["cache:/data"]', 'tmpfs = ["/data:size=1m"]'])
def test_a_volume_with_a_mount_is_not_named(world: World, more: str) -> None:
    world.engine.image_volumes = ("/data/",)
    world.more = ""
    world.secrets = f"}}\n{more}\nlog_options = {{"
    assert noted(world) == []
