"""What tests of the use cases work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.fakes.world import World
from tests.unit.stage import FOLDER, Stage

# How long an example takes says more about the machine than about the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def worlds() -> Iterator[Callable[[], World]]:
    made: list[World] = []
    with TemporaryDirectory(dir=FOLDER) as folder:

        def new() -> World:
            made.append(World(Path(folder) / str(len(made))))
            return made[-1]

        yield new
        for world in made:
            world.close()


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with TemporaryDirectory(dir=FOLDER) as folder:
        stage = Stage(Path(folder))
        yield stage
        stage.clear()
