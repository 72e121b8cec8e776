"""Worlds in the same folder, one after another. Each is set up once and copied afterwards."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.fakes.world import World

MEMORY = Path("/dev/shm")
FOLDER = MEMORY if os.access(MEMORY, os.W_OK) else None
"""The folder for tests with thousands of transactions: in memory, where fsync takes no time."""


class Stage:
    """Creates worlds in one folder, one at a time: a new one replaces the last one.

    The folder is the same for all of them, because a world's records name it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._saved: dict[Callable[[World], None], bytes] = {}
        self._world: World | None = None

    def world(self, before: Callable[[World], None]) -> World:
        """A world that `before` has set up; `before` must do the same each time."""
        self.clear()
        if before not in self._saved:
            world = World(self._folder / "world")
            before(world)
            world.close()
            shutil.copytree(world.folder, self._folder / str(len(self._saved)), symlinks=True)
            self._saved[before] = pickle.dumps(world)
            self.clear()
        number = list(self._saved).index(before)
        shutil.copytree(self._folder / str(number), self._folder / "world", symlinks=True)
        self._world = pickle.loads(self._saved[before])
        return self._world

    def clear(self) -> None:
        """Removes the last world."""
        if self._world is not None:
            self._world.close()
            self._world = None
        shutil.rmtree(self._folder / "world", ignore_errors=True)
