"""How a rollback would go."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from orchestrator.domain.rollout.way_back import WayBack, way_back
from orchestrator.errors import UsageError
from tests.unit.builders import chain, container, nothing_live, observed, slot_state, v1_live, v1_lost, v2_live, version


@pytest.mark.parametrize(
    ("previous", "expected"),
    [
        ("warm", WayBack("v1", "blue", "switch", True)),
        ("cold", WayBack("v1", "blue", "start", True)),
        ("gone", WayBack("v1", "blue", "start", False)),
    ],
)
def test_the_way_back(previous: Literal["warm", "cold", "gone"], expected: WayBack) -> None:
    assert way_back(v2_live(previous)) == expected


def test_without_containers_and_image_it_is_a_rebuild() -> None:
    seen = replace(v2_live("gone"), image_exists=lambda image_id: False)
    assert way_back(seen) == WayBack("v1", "blue", "rebuild", False)


def test_one_replica_of_two_that_is_not_running_makes_it_cold() -> None:
    seen = v2_live("warm")
    seen = replace(seen, containers=(*seen.containers, container("v1", "blue", state="exited", index=2)))
    assert way_back(seen) == WayBack("v1", "blue", "start", True)


def test_containers_that_run_and_are_not_known_as_warm_are_started_again() -> None:
    seen = v2_live("warm")
    seen = replace(seen, slots={"green": seen.slots["green"]})
    assert way_back(seen) == WayBack("v1", "blue", "start", True)


def test_containers_in_the_slot_that_serves_are_no_way_back() -> None:
    slots = [slot_state("v2", "green", "ready")]
    seen = observed(chain(2), slots, [container("v2", "green"), container("v1", "green", state="exited")])
    assert way_back(seen) == WayBack("v1", "blue", "start", False)


def test_no_way_back() -> None:
    assert way_back(nothing_live()) is None
    assert way_back(v1_live()) is None


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("v9", "there is no version v9: known versions: v1, v2"),
        ("v2", "v2 is live already"),
    ],
)
def test_a_way_back_that_is_none(to: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        way_back(v2_live("warm"), to)
    assert str(caught.value) == message


def test_a_version_that_was_never_stable_is_no_way_back() -> None:
    versions = {**chain(2), "v3": version("v3", "v2", stable=False)}
    seen = replace(v2_live("warm"), versions=versions)
    with pytest.raises(UsageError, match="v3 was never stable"):
        way_back(seen, "v3")


def test_a_pruned_version_that_was_pushed_can_be_gone_back_to_by_name() -> None:
    seen = v1_lost()
    pruned = replace(seen.versions["v1"], pruned_at="2031-01-03T00:00:00.000Z")
    seen = replace(seen, versions={**seen.versions, "v1": pruned})
    assert way_back(seen) is None
    assert way_back(seen, "v1") == WayBack("v1", "blue", "pull", False)


def test_an_image_that_is_there_is_not_pulled() -> None:
    seen = replace(v1_lost(), image_exists=lambda image_id: True)
    assert way_back(seen) == WayBack("v1", "blue", "start", False)
