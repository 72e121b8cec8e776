"""What a release has to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
    assert choice == Choice("v1", "nothing", "v1 is already live, with this build context")


@pytest.mark.parametrize("live_run_digest", ["other", "", None])
def test_the_live_version_with_other_settings_reuses_its_image(live_run_digest: str | None) -> None:
    choice = choose_release(v1_live(), "v1", manifest="manifest of v1", run_digest="s", live_run_digest=live_run_digest)
    assert choice == Choice("v1", "reuse", "v1 is already live: its image is started with the new configuration")


def test_the_live_version_without_containers_reuses_its_image() -> None:
    seen = observed(chain(1), [slot_state("v1", "blue", "ready")], [container("v1", "green")])
    assert choose_release(seen, "v1", manifest="manifest of v1", **SAME).action == "reuse"


def test_an_old_version_is_reused() -> None:
    choice = choose_release(v2_live("cold"), "v1", manifest="manifest of v1", **SAME)
    assert choice == Choice("v1", "reuse", "v1 was live before: its image is reused")


LIVE = {"manifest": "manifest of v1", **SAME}


def test_the_same_files_and_settings_are_no_new_version() -> None:
    choice = choose_release(v1_live(), None, same_place=True, **LIVE)
    assert choice == Choice("v1", "nothing", "v1 has the same files and settings; --force builds v2 from them anyway")
    with pytest.raises(UsageError, match="v7 would be the same as v1, which is live") as caught:
        choose_release(v1_live(), "v7", same_place=True, **LIVE)
    assert caught.value.hint.endswith("deployctl release v7 --force")
    assert choose_release(v1_live(), "v7", same_place=True, force=True, **LIVE) == Choice("v7", "build")


@pytest.mark.parametrize(
    "differs",
    [{"manifest": "other"}, {"run_digest": "other"}, {"live_run_digest": None}, {"same_place": False}],
)
def test_any_difference_is_a_new_version(differs: dict[str, Any]) -> None:
    asked: dict[str, Any] = {**LIVE, "same_place": True, **differs}
    assert choose_release(v1_live(), None, **asked) == Choice("v2", "build")


def test_a_live_version_that_went_bad_or_has_no_containers_can_be_built_again() -> None:
    empty = observed(chain(1), [slot_state("v1", "blue", "ready")], [container("v1", "green")])
    bad = observed({"v1": replace(chain(1)["v1"], bad_at="now")}, [slot_state("v1", "blue", "ready")])
    for seen in (empty, bad):
        assert choose_release(seen, None, same_place=True, **LIVE) == Choice("v2", "build")
