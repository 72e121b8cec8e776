"""What a release has to do."""

from __future__ import annotations

import pytest

from orchestrator.domain.rollout.choice import Choice, choose_release
from orchestrator.domain.rollout.observed import Observed
from orchestrator.errors import UsageError
from tests.unit.builders import chain, container, nothing_live, observed, slot_state, v1_live, v2_live, version

SAME = {"run_digest": "s", "live_run_digest": "s"}


def test_a_new_version_is_built() -> None:
    assert choose_release(v1_live(), "v7", manifest="m", **SAME) == Choice("v7", "build")


@pytest.mark.parametrize(
    ("seen", "expected"), [(nothing_live(), "v1"), (v1_live(), "v2"), (observed(chain(11)), "v12")]
)
def test_without_a_name_it_is_the_next_version(seen: Observed, expected: str) -> None:
    assert choose_release(seen, None, manifest="m", **SAME) == Choice(expected, "build")


def test_a_version_that_was_never_live_is_rebuilt() -> None:
    versions = {**chain(1), "v2": version("v2", "v1", live=False)}
    seen = observed(versions, [slot_state("v1", "blue", "ready")], [container("v1", "blue")])
    choice = choose_release(seen, "v2", manifest="anything", **SAME)
    assert choice == Choice("v2", "build", "v2 was built before but was never live: it is rebuilt")


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_version_that_was_live_cannot_change(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} has been live and cannot change") as caught:
        choose_release(v2_live("cold"), name, manifest="another manifest", **SAME)
    assert caught.value.hint == "release the change as a new version: deployctl release v3"


def test_the_live_version_with_the_same_settings_needs_nothing() -> None:
    choice = choose_release(v1_live(), "v1", manifest="manifest of v1", **SAME)
    assert choice == Choice("v1", "nothing", "v1 is live already, built from this build context")


@pytest.mark.parametrize("live_run_digest", ["other", "", None])
def test_the_live_version_with_other_settings_reuses_its_image(live_run_digest: str | None) -> None:
    choice = choose_release(v1_live(), "v1", manifest="manifest of v1", run_digest="s", live_run_digest=live_run_digest)
    assert choice == Choice("v1", "reuse", "v1 is live already: its image is started with the new configuration")


def test_the_live_version_without_containers_reuses_its_image() -> None:
    seen = observed(chain(1), [slot_state("v1", "blue", "ready")], [container("v1", "green")])
    assert choose_release(seen, "v1", manifest="manifest of v1", **SAME).action == "reuse"


def test_an_old_version_is_reused() -> None:
    choice = choose_release(v2_live("cold"), "v1", manifest="manifest of v1", **SAME)
    assert choice == Choice("v1", "reuse", "v1 was live before: its image is reused")
