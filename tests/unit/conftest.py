"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.fakes.world import World
from tests.unit.stage import FOLDER, Stage

# The duration of an example depends more on the machine than on the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def worlds() -> Iterator[Callable[[], World]]:
    created: list[World] = []
    with TemporaryDirectory(dir=FOLDER) as folder:

        def new() -> World:
            created.append(World(Path(folder) / str(len(created))))
            return created[-1]

        yield new
        for world in created:
            world.close()


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with TemporaryDirectory(dir=FOLDER) as folder:
        stage = Stage(Path(folder))
        yield stage
        stage.clear()
