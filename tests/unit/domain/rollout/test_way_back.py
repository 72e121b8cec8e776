"""Which rollback is possible, and how."""

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
def test_the_mode_of_a_rollback(previous: Literal["warm", "cold", "gone"], expected: WayBack) -> None:
    assert way_back(v2_live(previous)) == expected


def test_without_containers_and_image_a_rollback_is_a_rebuild() -> None:
    observed_app = replace(v2_live("gone"), image_exists=lambda image_id: False)
    v1 = observed_app.versions["v1"]
    for commit, dirty, pushed, mode in (
        ("c" * 40, False, None, "rebuild"),
        ("c" * 40, True, None, "gone"),
        (None, None, None, "gone"),
        (None, None, "registry/m@sha256:1", "pull"),
    ):
        known = {**observed_app.versions, "v1": replace(v1, git_commit=commit, git_dirty=dirty, pushed=pushed)}
        assert way_back(replace(observed_app, versions=known)) == WayBack("v1", "blue", mode, False)


def test_a_stopped_replica_makes_the_version_cold() -> None:
    observed_app = v2_live("warm")
    observed_app = replace(
        observed_app, containers=(*observed_app.containers, container("v1", "blue", state="exited", index=2))
    )
    assert way_back(observed_app) == WayBack("v1", "blue", "start", True)


def test_running_containers_without_a_warm_record_are_started() -> None:
    observed_app = v2_live("warm")
    observed_app = replace(observed_app, slots={"green": observed_app.slots["green"]})
    assert way_back(observed_app) == WayBack("v1", "blue", "start", True)


def test_containers_in_the_live_slot_are_not_reused() -> None:
    slots = [slot_state("v2", "green", "ready")]
    observed_app = observed(chain(2), slots, [container("v2", "green"), container("v1", "green", state="exited")])
    assert way_back(observed_app) == WayBack("v1", "blue", "start", False)


def test_without_an_earlier_stable_version_there_is_no_rollback() -> None:
    assert way_back(nothing_live()) is None
    assert way_back(v1_live()) is None


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("v9", "there is no version v9: known versions: v1, v2"),
        ("v2", "v2 is already live"),
    ],
)
def test_an_unknown_or_live_target_is_refused(to: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        way_back(v2_live("warm"), to)
    assert str(caught.value) == message


def test_a_target_that_was_never_stable_is_refused() -> None:
    versions = {**chain(2), "v3": version("v3", "v2", stable=False)}
    observed_app = replace(v2_live("warm"), versions=versions)
    with pytest.raises(UsageError, match="v3 was never stable"):
        way_back(observed_app, "v3")


def test_a_pruned_version_that_was_pushed_can_be_named_as_the_target() -> None:
    observed_app = v1_lost()
    pruned = replace(observed_app.versions["v1"], pruned_at="2031-01-03T00:00:00.000Z")
    observed_app = replace(observed_app, versions={**observed_app.versions, "v1": pruned})
    assert way_back(observed_app) is None
    assert way_back(observed_app, "v1") == WayBack("v1", "blue", "pull", False)


def test_an_existing_image_is_not_pulled() -> None:
    observed_app = replace(v1_lost(), image_exists=lambda image_id: True)
    assert way_back(observed_app) == WayBack("v1", "blue", "start", False)
