"""A release while the older version answers what the live one fails: it needs the slot of that older version."""

from __future__ import annotations

import pytest

from orchestrator.domain.traffic.sample import Sample
from orchestrator.errors import UsageError
from tests.fakes.world import APP, World
from tests.unit.stage import Stage


def v2_shielded(world: World) -> None:
    world.release("v1")
    world.release("v2")


@pytest.fixture
def world(stage: Stage) -> World:
    return stage.world(v2_shielded)


def fails(world: World, failures: int, requests: int) -> None:
    """The live version has failed so many of its requests; the older one has answered them."""
    world.proxy.counted[APP, "green"] = Sample(requests, failures, failures, {})


def test_a_version_that_fails_keeps_its_fallback(world: World) -> None:
    fails(world, 20, 20)
    before = world.facts()
    with pytest.raises(UsageError, match=r"v2 fails requests, and v1 answers them: 100.0% of 20 requests") as refused:
        world.release("v3")
    assert "deployctl rollback" in refused.value.hint
    assert world.facts() == before
    assert world.ledger.traffic(APP).shield
    world.rollback()
    world.release("v3")
    assert world.served() == "v3"


def test_it_is_released_by_force(world: World) -> None:
    fails(world, 20, 20)
    world.release("v3", force=True)
    assert world.served() == "v3"


def test_a_few_failures_are_a_note(world: World) -> None:
    fails(world, 2, 1000)
    world.release("v3")
    assert world.served() == "v3"
    assert "v1 has answered 2 failures of v2; it is stopped first" in world.reports.notes


@pytest.mark.parametrize("requests", [0, 1000])
def test_without_failures_nothing_is_said(world: World, requests: int) -> None:
    fails(world, 0, requests)
    world.release("v3")
    assert not [note for note in world.reports.notes if "answered" in note]


def test_nothing_to_do_is_not_refused(world: World) -> None:
    fails(world, 20, 20)
    assert world.release("v2").deployment is None


def test_sessions_that_stay_on_the_older_version_are_no_fallback(stage: Stage) -> None:
    """Without a shield the older version answers no failure, so it protects nobody."""

    def sticky(world: World) -> None:
        world.listen = '127.0.0.1:8000"\nsticky = "cookie'
        world.rollout = "shield = false"
        v2_shielded(world)

    world = stage.world(sticky)
    assert world.ledger.traffic(APP).sessions
    world.proxy.counted[APP, "green"] = Sample(20, 20, 0, {})
    world.release("v3")
    assert world.served() == "v3"
