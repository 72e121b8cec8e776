"""The engine's disk and the proxy in `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain.traffic.program import Program
from orchestrator.domain.version.build import EngineUsage
from orchestrator.reports import doctor as module
from orchestrator.reports.doctor import Check, doctor
from tests.fakes.world import APP, World

GIB = 1 << 30
DAY = 86400


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
    left = "6 dangling images left by builds (0.5 GiB), build cache 2.0 GiB"
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


def proxy(world: World) -> Check:
    (check,) = (each for each in doctor(world.process(), world.config()).checks if each.name == "proxy")
    return check


def test_the_proxys_program_and_the_age_of_its_image(world: World) -> None:
    world.release("v1")
    check = proxy(world)
    removed = "running, HAProxy 2.6.12; its image was removed: 'deployctl proxy upgrade' rebuilds it"
    assert (check.ok, check.message, check.next) == (True, removed, "")
    for days, text in (
        (0, "running, HAProxy 2.6.12, image built 0 days ago"),
        (1, "running, HAProxy 2.6.12, image built 1 day ago"),
        (89, "running, HAProxy 2.6.12, image built 89 days ago"),
        (
            90,
            "running, HAProxy 2.6.12, image built 90 days ago; 'deployctl proxy upgrade' rebuilds it with current"
            " security fixes",
        ),
        # The clock of the machine that built it was fast.
        (-1, "running, HAProxy 2.6.12, image built 0 days ago"),
    ):
        world.proxy.program = Program("HAProxy 2.6.12", world.timestamp() - days * DAY - 5)
        assert (proxy(world).ok, proxy(world).message) == (True, text)


def test_a_proxy_that_was_replaced_is_named(world: World) -> None:
    world.release("v1")
    world.proxy.program = Program("HAProxy 2.6.12", world.timestamp())
    world.proxy.replaced, world.proxy.open[APP, "blue"] = True, 2
    assert proxy(world).message.endswith("image built 0 days ago; the previous proxy still has 2 open requests")


def test_a_proxy_that_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.release("v1")
    monkeypatch.setattr(world.edge, "program", lambda: None)
    check = proxy(world)
    assert (check.ok, check.message, check.next) == (False, "running, but it does not answer", "deployctl recover")
