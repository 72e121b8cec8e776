"""Releases and rollbacks with a registry: pushes, pulls, and their failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.cli.render import show as render_show
from orchestrator.cli.render import status as render_status
from orchestrator.domain.record import labels as record
from orchestrator.errors import DeploymentFailed, OperationFailed, StorageError, TagTaken
from orchestrator.release.retention import prune
from orchestrator.release.steps import pull as pull_step
from orchestrator.reports.doctor import doctor
from orchestrator.reports.previous import RollbackEstimate
from orchestrator.reports.status import status
from orchestrator.reports.versions import show
from tests.fakes.world import APP, World
from tests.unit.builders import REGISTRY


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    world = worlds()
    world.more = f'[registry]\npush = "{REGISTRY}"\n'
    return world


def lose(world: World, version: str = "v1") -> None:
    """Removes the containers and the image of a version, as a user may do."""
    for container in world.workloads.containers(APP):
        if container.version == version:
            world.workloads.remove(container)
    world.engine.images.pop(f"{APP}:{version}", None)


def rollback(world: World) -> RollbackEstimate | None:
    previous = status(world.process(), APP, "").previous
    return previous.rollback if previous else None


def test_a_release_records_the_pushed_image(world: World) -> None:
    world.release("v1")
    pushed = world.ledger.versions(APP)["v1"].pushed
    assert pushed is not None
    assert pushed.startswith(f"{REGISTRY}@sha256:")
    assert list(world.engine.registry) == [pushed]
    report = show(world.process(), APP, "v1")
    assert report.pushed == pushed
    assert f"pushed      {pushed}" in render_show.show(report)
    assert world.ledger.versions(APP)["v1"].stable_at, "what was recorded after the push was kept"


def test_a_push_that_fails_changes_nothing_and_the_next_release_pushes(world: World) -> None:
    world.release("v1")
    before = world.facts()
    world.engine.refusal = "unauthorized: authentication required"
    with pytest.raises(OperationFailed) as caught:
        world.release("v2")
    assert (caught.value.exit_code, caught.value.hint) == (3, "docker login")
    assert world.facts() == before
    assert world.ledger.versions(APP)["v2"].pushed is None
    world.engine.refusal = ""
    world.release("v2")
    assert world.ledger.versions(APP)["v2"].pushed


def test_a_version_released_without_a_registry_is_pushed_when_it_is_reused(world: World) -> None:
    world.more = ""
    world.release("v1")
    world.release("v2")
    world.more = f'[registry]\npush = "{REGISTRY}"\n'
    world.release("v1")
    assert world.ledger.versions(APP)["v1"].pushed
    assert world.ledger.versions(APP)["v2"].pushed is None


def test_a_rollback_pulls_a_missing_image(world: World) -> None:
    world.release("v1")
    world.release("v2")
    lose(world)
    estimate = rollback(world)
    assert estimate is not None
    assert (estimate.mode, estimate.containers_kept) == ("pull", False)
    assert "by a pull from the registry (its image is not on the engine any more)" in render_status.status(
        status(world.process(), APP, "")
    )
    world.more = ""  # the version's record says where it was pushed
    world.rollback()
    assert world.served() == "v1"
    assert world.reports.notes[-1] == f"v1 was pulled from {REGISTRY} in 0.0 s"
    assert rollback(world) is None


def test_a_release_pulls_a_missing_image(world: World) -> None:
    world.release("v1")
    world.release("v2")
    lose(world)
    world.release("v1")
    assert world.served() == "v1"


def test_a_pruned_version_can_be_rolled_back_to(world: World) -> None:
    world.versions = 2
    for name in ("v1", "v2", "v3", "v4"):
        world.release(name)
    with world.services.locks.app(APP):
        prune(world.services, APP, 2)
    assert world.ledger.versions(APP)["v1"].pruned_at
    assert f"{APP}:v1" not in world.engine.images
    world.rollback("v1")
    assert world.served() == "v1"
    assert world.ledger.versions(APP)["v1"].pruned_at is None


def test_another_image_id_after_a_pull_is_recorded(world: World) -> None:
    world.release("v1")
    world.release("v2")
    lose(world)
    (pushed,) = (pinned for pinned in world.engine.registry if pinned == world.ledger.versions(APP)["v1"].pushed)
    world.engine.registry[pushed] = "sha256:" + "7" * 64
    world.rollback()
    assert world.ledger.versions(APP)["v1"].image_id == "sha256:" + "7" * 64


def test_an_image_that_cannot_be_pulled_is_rebuilt(world: World) -> None:
    world.supply.commit = "c0ffee"
    world.release("v1")
    world.release("v2")
    lose(world)
    world.supply.context = "sha256:v1"  # what a checkout of the commit gives
    world.engine.refusal = "EOF"
    world.rollback()
    assert world.served() == "v1"
    pull, rebuild, done = world.reports.notes[-3:]
    assert pull.endswith("could not be pulled: EOF")
    assert rebuild.endswith("rebuilt from commit c0ffee")
    assert "its manifest matches" in done


@pytest.mark.parametrize(("commit", "why"), [(None, "files outside of Git"), ("c0ffee", "changes that were never")])
def test_an_image_that_can_be_neither_pulled_nor_rebuilt_changes_nothing(
    world: World, commit: str | None, why: str
) -> None:
    world.release("v1")
    world.release("v2")
    v1 = world.ledger.versions(APP)["v1"]
    world.ledger.record_version(replace(v1, git_commit=commit, git_dirty=commit is not None))
    lose(world)
    world.engine.refusal = "EOF"
    with pytest.raises(DeploymentFailed) as caught:
        world.rollback()
    assert caught.value.exit_code == 3
    assert "EOF; and it cannot be rebuilt" in caught.value.why
    assert why in caught.value.why
    assert world.served() == "v2"


def test_when_pull_and_rebuild_fail_both_errors_are_shown(world: World) -> None:
    world.supply.commit = "c0ffee"
    world.release("v1")
    world.release("v2")
    lose(world)
    world.supply.context = "sha256:v1"
    world.engine.refusal = "EOF"
    world.engine.broken_builds.add("v1")
    with pytest.raises(DeploymentFailed) as caught:
        world.rollback()
    assert caught.value.message == "v1 can be neither pulled nor rebuilt"
    assert "EOF; and the image mymodel:v1 could not be built" in caught.value.why
    assert world.served() == "v2"


def test_missing_model_files_fail_before_the_pull(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object) -> None:
        raise StorageError("the model files of v1 are gone")

    world.release("v1")
    world.release("v2")
    lose(world)
    monkeypatch.setattr(pull_step, "restore", gone)
    with pytest.raises(DeploymentFailed, match="v1 cannot be restored: the model files of v1 are gone"):
        world.rollback()
    assert world.served() == "v2"
    assert f"{APP}:v1" not in world.engine.images, "no image was pulled"


def test_the_name_left_by_an_interrupted_push_is_removed(world: World) -> None:
    world.release("v1")
    world.engine.left_names[f"{REGISTRY}:v2"] = "sha256:2"
    world.engine.refusal = "EOF"
    with pytest.raises(OperationFailed):
        world.release("v2")
    assert world.engine.left_names == {}


def test_a_rebuilt_ledger_knows_pushed_images(world: World) -> None:
    world.release("v1")
    rebuilt = record.restore(world.access.evidence(), APP, "blue", 1, "now")
    assert rebuilt.versions[0].pushed == world.ledger.versions(APP)["v1"].pushed


def test_doctor_checks_the_registry(world: World) -> None:
    world.release("v1")
    checks = {check.name: check for check in doctor(world.process(), world.config()).checks}
    assert (checks["registry"].ok, checks["registry"].message) == (True, f"{REGISTRY} answers")
    world.engine.refusal = "unauthorized"
    checks = {check.name: check for check in doctor(world.process(), world.config()).checks}
    assert (checks["registry"].ok, checks["registry"].next) == (False, "docker login")
    world.more = ""
    assert "registry" not in {check.name for check in doctor(world.process(), world.config()).checks}


def test_the_estimate_of_a_pull(world: World) -> None:
    world.release("v1")
    world.release("v2")
    lose(world)
    (push_step,) = (step for step in world.ledger.steps(1) if step.name == "push")
    assert push_step.detail == {"pushed": world.ledger.versions(APP)["v1"].pushed}
    estimate = rollback(world)
    assert estimate is not None
    assert (estimate.mode, estimate.seconds) == ("pull", None), "no version has been pulled yet"


# --- tags that exist --------------------------------------------------------------------------------------------------


def test_a_failed_attempt_s_tag_is_moved_by_the_next(world: World) -> None:
    world.prober.unready.add("v1")
    with pytest.raises(OperationFailed):
        world.release("v1")
    first = world.engine.registry_tags[f"{REGISTRY}:v1"]
    world.prober.unready.clear()
    world.release("v1", context="sha256:fixed")
    assert world.served() == "v1"
    assert world.engine.registry_tags[f"{REGISTRY}:v1"] == world.ledger.versions(APP)["v1"].pushed != first


def test_somebody_else_s_tag_is_not_moved(world: World) -> None:
    world.release("v1")
    theirs = f"{REGISTRY}@sha256:{'e' * 64}"
    world.engine.registry_tags[f"{REGISTRY}:v2"] = theirs
    with pytest.raises(TagTaken) as caught:
        world.release("v2")
    assert caught.value.hint == "release it under another name: deployctl release v3"
    assert world.engine.registry_tags[f"{REGISTRY}:v2"] == theirs
    assert world.served() == "v1"
    world.release("v3")
    assert world.served() == "v3"


def test_an_immutable_tag_needs_another_name(world: World) -> None:
    world.engine.immutable_tags = True
    world.prober.unready.add("v1")
    with pytest.raises(OperationFailed):
        world.release("v1")
    world.prober.unready.clear()
    with pytest.raises(TagTaken, match="another image") as caught:
        world.release("v1", context="sha256:fixed")
    assert "deployctl release v2" in caught.value.hint
    world.release("v2", context="sha256:fixed")
    assert world.served() == "v2"
