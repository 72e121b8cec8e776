"""How long the newer version may take to begin an answer before the older one is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.domain.traffic.sample import Sample
from orchestrator.release.observe import observe
from orchestrator.release.patience import patience
from tests.fakes.world import APP, World


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    made = worlds()
    made.release("v1")
    return made


def answered(world: World, times: dict[str, int]) -> float:
    """The patience after these answers of the live version, v1 in blue."""
    world.proxy.counted[APP, "blue"] = Sample(sum(times.values()), 0, 0, times)
    services = world.process()
    return patience(services, world.config(), observe(services, APP))


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ({}, 30.0),
        ({"12/5": 1_000}, 30.0),
        # 99 of 100 stay below 20 s.
        ({"10/5": 1, "19/8": 99}, 100.0),
        ({"10/5": 980, "19/8": 20}, 100.0),
        # 1 of 100 is slower: the 99 % that are quick count.
        ({"10/5": 990, "19/8": 10}, 30.0),
        # Fewer than a hundred say nothing about the slowest of a hundred.
        ({"19/8": 99}, 30.0),
    ],
)
def test_it_is_five_times_as_long_as_99_percent_of_the_live_versions_answers_take(
    world: World, times: dict[str, int], seconds: float
) -> None:
    assert answered(world, times) == pytest.approx(seconds)


def test_it_is_never_longer_than_the_proxy_waits_for_any_answer(world: World) -> None:
    world.timeout = "40s"
    assert answered(world, {"19/8": 100}) == 40.0
    world.timeout = "20s"
    assert answered(world, {}) == answered(world, {"12/5": 100}) == 20.0


def test_without_a_live_version_it_is_the_configured_one(worlds: Callable[[], World]) -> None:
    world = worlds()
    services = world.process()
    assert patience(services, world.config(), observe(services, APP)) == 30.0


def test_what_was_in_the_slot_before_does_not_count(world: World) -> None:
    """v3 is in the slot of v1, which was slow."""
    world.proxy.counted[APP, "blue"] = Sample(5_000, 0, 0, {"19/8": 5_000})
    world.release("v2")
    world.release("v3")
    services = world.process()
    assert patience(services, world.config(), observe(services, APP)) == 30.0


def test_a_release_gives_it_to_the_proxy(world: World) -> None:
    world.proxy.counted[APP, "blue"] = Sample(200, 0, 0, {"19/8": 200})
    world.release("v2")
    assert world.traffic.running(APP).patience == 100.0
    assert world.traffic.running(APP).fallback == "blue"
