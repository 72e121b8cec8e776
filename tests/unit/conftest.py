"""What tests of the use cases work with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.unit.fakes import World

# How long an example takes says more about the machine than about the code.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture
def worlds() -> Iterator[Callable[[], World]]:
    made: list[World] = []
    # Thousands of real fsyncs: in memory they cost nothing.
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:

        def new() -> World:
            made.append(World(Path(folder) / str(len(made))))
            return made[-1]

        yield new
        for world in made:
            world.close()
