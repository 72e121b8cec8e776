"""The engine's disk in `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain.version.build import EngineUsage
from orchestrator.reports import doctor as module
from orchestrator.reports.doctor import Check, doctor
from tests.fakes.world import World

GIB = 1 << 30


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.close()


def disk(world: World, monkeypatch: pytest.MonkeyPatch, usage: EngineUsage, free: int | None) -> Check:
    monkeypatch.setattr(world.images, "usage", lambda: usage)
    monkeypatch.setattr(module, "_free", lambda folder: free)
    (check,) = (each for each in doctor(world.process(), world.config()).checks if each.name == "engine disk")
    return check


def test_what_builds_have_left_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = EngineUsage("/var/lib/docker", 6, GIB // 2, 2 * GIB)
    left = "6 unnamed images left by builds (0.5 GiB), build cache 2.0 GiB"
    check = disk(world, monkeypatch, usage, 20 * GIB)
    assert (check.ok, check.message, check.next) == (True, f"20.0 GiB free in /var/lib/docker; {left}", "")
    assert disk(world, monkeypatch, usage, None).message == left
    check = disk(world, monkeypatch, usage, GIB // 2)
    assert check.ok is False
    assert check.next == "deployctl prune --cache"


def test_much_is_told_with_what_removes_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    check = disk(world, monkeypatch, EngineUsage("/x", 1, 9 * GIB, 2 * GIB), 20 * GIB)
    assert check.ok
    assert check.message.endswith("which 'deployctl prune --cache' removes")
