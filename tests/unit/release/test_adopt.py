"""Versions made of images that were built elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.cli.render import history as render_history
from orchestrator.cli.render import show as render_show
from orchestrator.cli.render import tree as render_tree
from orchestrator.cli.render import who_was_live as render_who
from orchestrator.domain.record import labels as record
from orchestrator.domain.version.build import Layer
from orchestrator.domain.version.manifest import File
from orchestrator.errors import DeploymentFailed, OperationFailed, RegistryError, UsageError
from orchestrator.release.retention import prune
from orchestrator.reports.diff import compare
from orchestrator.reports.file_log import file_log
from orchestrator.reports.history import history
from orchestrator.reports.plan import PlanReport, preview
from orchestrator.reports.status import status
from orchestrator.reports.verify import verify
from orchestrator.reports.versions import lineage, show
from orchestrator.reports.who_was_live import who_was_live
from tests.fakes.world import APP, World
from tests.unit.builders import REGISTRY

CI = "ci.example.com/team/m"
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
LOWEST = Layer(f"sha256:{'a' * 64}", 1000)


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    """Two images of CI in its registry; they have the lowest layer in common."""
    world = worlds()
    (world.folder / "Dockerfile").unlink()
    for number, image_id in enumerate((ONE, TWO), 1):
        world.engine.publish(f"{CI}:{number}", image_id)
        world.engine.image_layers[image_id] = [LOWEST, Layer(f"sha256:{str(number) * 64}", number)]
    return world


def pinned(image_id: str) -> str:
    return f"{CI}@sha256:{image_id[7:][::-1]}"


def here(world: World, image_id: str = ONE, tag: str = "ci:1") -> None:
    world.engine.images[tag] = image_id


def planned(world: World, image: str, version: str | None = None) -> PlanReport:
    return preview(world.process(), world.config(), "release", version, ref=None, image=image)


# --- where it comes from ----------------------------------------------------------------------------------------------


def test_an_image_is_pulled_and_pinned_by_its_digest(world: World) -> None:
    result = world.release_image(f"{CI}:1")
    assert (result.version, world.served()) == ("v1", "v1")
    version = world.ledger.versions(APP)["v1"]
    assert version.image_id == ONE
    assert version.from_image == f"{CI}:1@{pinned(ONE).partition('@')[2]}"
    assert version.pushed == pinned(ONE)
    assert (version.git_commit, version.author) == (None, "Somebody <some@body>")
    assert world.engine.images == {f"{APP}:v1": ONE}
    assert world.engine.image_digests[ONE] == (), "the name of the pull is removed"
    assert world.engine.built == []
    assert [step.name for step in world.ledger.steps(1)][:2] == ["adopt", "vacate"]


def test_a_tag_that_moves_later_changes_nothing(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.engine.publish(f"{CI}:1", TWO)
    assert world.ledger.versions(APP)["v1"].image_id == ONE
    assert world.release_image(f"{CI}:1").version == "v2"
    assert world.ledger.versions(APP)["v2"].image_id == TWO


def test_an_image_on_the_engine_is_used_as_it_is(world: World) -> None:
    here(world)
    world.engine.refusal = "nobody answers"
    world.release_image("ci:1")
    version = world.ledger.versions(APP)["v1"]
    assert (version.from_image, version.pushed, version.image_id) == ("ci:1", None, ONE)
    assert world.engine.images == {"ci:1": ONE, f"{APP}:v1": ONE}


def test_an_image_by_its_id(world: World) -> None:
    here(world)
    world.release_image(ONE)
    assert world.ledger.versions(APP)["v1"].from_image == ONE


@pytest.mark.parametrize("there", [True, False])
def test_a_local_image_of_a_registry_can_be_pulled_if_the_registry_has_it(world: World, there: bool) -> None:
    here(world, tag=f"{CI}:1")
    world.engine.image_digests[ONE] = ("elsewhere.example.com/m@sha256:0", pinned(ONE))
    if not there:
        world.engine.registry.clear()
    world.release_image(f"{CI}:1")
    version = world.ledger.versions(APP)["v1"]
    assert version.pushed == (pinned(ONE) if there else None)
    noted = "v1 cannot be pulled again when its image is removed: its registry does not have it"
    assert (noted in world.reports.notes) is not there


def test_without_the_registry_a_local_image_is_released_all_the_same(world: World) -> None:
    here(world, tag=f"{CI}:1")
    world.engine.image_digests[ONE] = (pinned(ONE),)
    world.engine.refusal = "no route to host"
    world.release_image(f"{CI}:1")
    assert world.served() == "v1"
    assert world.ledger.versions(APP)["v1"].pushed is None


def test_an_image_is_pushed_to_the_app_s_own_repository(world: World) -> None:
    world.more = f'[registry]\npush = "{REGISTRY}"\n'
    world.release_image(f"{CI}:1")
    version = world.ledger.versions(APP)["v1"]
    assert (version.pushed or "").startswith(f"{REGISTRY}@")
    assert (version.from_image or "").startswith(f"{CI}:1@")
    assert planned(world, f"{CI}:1").changes is False


# --- refused, with nothing changed ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "message", "hint"),
    [
        (f"{CI}:9", f"--image: there is no image {CI}:9", "docker login ci.example.com"),
        (f"{CI}@sha256:{'0' * 64}", "--image: there is no image", "check its name and its tag"),
        ("nothing", "--image: there is no image nothing", "docker login docker.io"),
        ("sha256:" + "9" * 64, "--image: there is no image sha256:", "check its name"),
        ("My Image", "--image: 'My Image' is not the name of an image", "--image registry.example.com"),
        ("", "--image: '' is not the name", "--image registry.example.com"),
    ],
)
def test_an_unknown_image_is_refused(world: World, image: str, message: str, hint: str) -> None:
    world.release_image(f"{CI}:1")
    before = world.facts()
    for command in (lambda: world.release_image(image), lambda: planned(world, image)):
        with pytest.raises(UsageError) as caught:
            command()
        assert message in caught.value.message
        assert hint in caught.value.hint
    assert world.facts() == before
    assert len(world.ledger.deployments(APP)) == 1


def test_a_registry_that_refuses_is_an_error_of_its_own(world: World) -> None:
    world.engine.refusal = "unauthorized: authentication required"
    with pytest.raises(RegistryError) as caught:
        world.release_image(f"{CI}:1")
    assert caught.value.exit_code == 3
    assert caught.value.message.startswith(f"--image: the engine does not have {CI}:1, and its registry")
    assert world.ledger.deployments(APP) == []


@pytest.mark.parametrize("local", [True, False])
def test_an_image_for_another_platform_is_refused(world: World, local: bool) -> None:
    world.engine.platforms[ONE] = "linux/arm64"
    if local:
        here(world)
    with pytest.raises(UsageError) as caught:
        world.release_image("ci:1" if local else f"{CI}:1")
    assert "is for linux/arm64, and this engine runs linux/amd64" in caught.value.message
    assert "docker buildx build --platform linux/amd64" in caught.value.hint
    assert world.ledger.deployments(APP) == []


def test_an_image_and_a_commit_are_refused(world: World) -> None:
    with pytest.raises(UsageError, match="--image cannot be used with --ref"):
        preview(world.process(), world.config(), "release", None, ref="HEAD", image="ci:1")
    with pytest.raises(UsageError, match="--image cannot be used with a rollback"):
        preview(world.process(), world.config(), "rollback", None, ref=None, image="ci:1")


def test_without_an_image_a_dockerfile_is_needed(world: World) -> None:
    with pytest.raises(UsageError, match=r"build.dockerfile: there is no .*Dockerfile") as caught:
        world.release("v1")
    assert "--image" in caught.value.hint


def test_a_pull_that_fails_is_undone_and_recorded(world: World) -> None:
    world.release_image(f"{CI}:1")
    before = world.facts()

    def vanish(when: str, step: str) -> None:
        if (when, step) == ("before", "adopt"):
            world.engine.registry.pop(pinned(TWO))

    world.boundary = vanish
    with pytest.raises(OperationFailed) as caught:
        world.release_image(f"{CI}:2")
    assert caught.value.exit_code == 3
    assert world.facts() == before
    assert world.ledger.deployments(APP, 1)[0].outcome == "failed"
    assert "v2" not in world.ledger.versions(APP)


def test_an_image_whose_model_files_cannot_be_kept_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OperationFailed("the disk is full")

    monkeypatch.setattr(world.models, "keep", full)
    with pytest.raises(OperationFailed, match="the disk is full"):
        world.release_image(f"{CI}:1")
    assert world.engine.images == {}
    assert world.engine.untagged == set()


def test_secrets_must_be_available_and_outside_of_the_model_folder(world: World) -> None:
    world.secrets = 'token = "env:NOT_SET_ANYWHERE"'
    with pytest.raises(OperationFailed, match="secret token is not available"):
        world.release_image(f"{CI}:1")
    # In the folder of deploy.toml it would be part of a build, and there is none.
    world.secrets = 'token = "file:token"'
    (world.folder / "token").write_text("secret")
    world.release_image(f"{CI}:1")
    assert world.served() == "v1"


# --- the same, or not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("local", [True, False])
def test_the_same_image_again_is_nothing_new(world: World, local: bool) -> None:
    world.release_image(f"{CI}:1")
    if local:
        here(world)
    again = "ci:1" if local else f"{CI}:1"
    assert world.release_image(again).deployment is None
    assert planned(world, again).changes is False
    with pytest.raises(UsageError, match="v2 would be the same as v1"):
        world.release_image(again, "v2")
    assert world.release_image(again, "v2", force=True).version == "v2"
    assert world.served() == "v2"
    assert world.ledger.versions(APP)["v2"].manifest == world.ledger.versions(APP)["v1"].manifest


def test_the_image_of_a_built_version_is_the_same_version(world: World) -> None:
    (world.folder / "Dockerfile").write_text("FROM scratch\n")
    world.supply.files = (File("context/Dockerfile", "file", "0644", 1, "d" * 64),)
    world.release("v1")
    with pytest.raises(UsageError, match="v2 would be the same as v1"):
        world.release_image(f"{APP}:v1", "v2")


def test_a_version_that_was_live_cannot_become_another_image(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.release_image(f"{CI}:2")
    with pytest.raises(UsageError, match="v1 has been live and cannot change") as caught:
        world.release_image(f"{CI}:2", "v1")
    assert caught.value.why == "the image is not what the version was made from"
    assert world.release_image(f"{CI}:1", "v1").version == "v1"
    assert world.served() == "v1"


def test_a_version_that_was_live_is_released_again_without_its_image_s_name(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.release_image(f"{CI}:2")
    world.engine.publish(f"{CI}:1", TWO)
    assert world.release("v1").version == "v1"
    assert world.served() == "v1"
    assert world.ledger.versions(APP)["v1"].image_id == ONE
    world.env = 'LEVEL = "debug"'
    assert world.release("v1").previous == "v1", "with new settings"
    lose(world, "v2")
    again = preview(world.process(), world.config(), "release", "v2", ref=None)
    assert again.steps[0].name == "pull"
    world.release("v2")
    assert world.served() == "v2"
    # A version that was never live is made anew, of what is there now.
    world.prober.unready.add("v3")
    three = "sha256:" + "3" * 64
    world.engine.publish(f"{CI}:3", three)
    with pytest.raises(DeploymentFailed):
        world.release_image(f"{CI}:3", "v3")
    with pytest.raises(UsageError, match=r"there is no .*Dockerfile"):
        world.release("v3")


def test_a_version_whose_image_is_lost_for_good_is_not_released_again(world: World) -> None:
    here(world)
    world.release_image("ci:1")
    world.release_image(f"{CI}:2")
    lose(world)
    world.engine.images.pop("ci:1")
    with pytest.raises(UsageError, match="the engine does not have the image of v1 any more"):
        world.release("v1")


def test_other_model_files_are_another_version(world: World) -> None:
    world.supply.files = (File("model/w", "file", "0644", 1, "a" * 64), File("context/x", "file", "0644", 1, "b" * 64))
    world.release_image(f"{CI}:1")
    manifest = world.supply.manifests[world.ledger.versions(APP)["v1"].manifest]
    assert list(manifest.files) == ["image/layer-001", "image/layer-002", "model/w"]
    world.supply.files = (File("model/w", "file", "0644", 1, "c" * 64),)
    assert world.release_image(f"{CI}:1").version == "v2"
    assert world.supply.kept[APP, "v2"] == (File("w", "file", "0644", 1, "c" * 64),)


def test_a_failed_attempt_is_replaced(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.prober.unready.add("v2")
    with pytest.raises(DeploymentFailed):
        world.release_image(f"{CI}:2", "v2")
    assert world.engine.images[f"{APP}:v2"] == TWO
    world.prober.unready.clear()
    three = "sha256:" + "3" * 64
    world.engine.publish(f"{CI}:3", three)
    world.release_image(f"{CI}:3", "v2")
    assert world.served() == "v2"
    assert world.engine.images == {f"{APP}:v1": ONE, f"{APP}:v2": three}
    assert world.engine.untagged == set()


# --- what reports show ------------------------------------------------------------------------------------------------


def test_the_plan_of_an_image_in_a_registry(world: World) -> None:
    world.release_image(f"{CI}:1")
    plan = planned(world, f"{CI}:2")
    assert plan.steps[0].description == f"pull the image {CI}:2, and tag it as {APP}:v2"
    assert plan.diff is None
    assert plan.notes == ("its layers are known after the pull",)
    assert TWO not in world.engine.images.values(), "nothing was pulled"


def test_the_plan_of_an_image_on_the_engine_shows_the_layers_that_change(world: World) -> None:
    world.release_image(f"{CI}:1")
    here(world, TWO, "ci:2")
    plan = planned(world, "ci:2")
    assert plan.diff is not None
    assert [(file.path, file.change) for file in plan.diff.files] == [("image/layer-002", "changed")]
    assert plan.notes == ()


def test_the_difference_is_the_layers_that_changed(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.release_image(f"{CI}:2")
    report = compare(world.process(), world.config(), "v1", "v2")
    assert [(file.path, file.size_before, file.size_after) for file in report.files] == [("image/layer-002", 1, 2)]
    assert [(each.key, each.before, each.after) for each in report.build] == [("image", ONE, TWO)]
    assert report.image is not None
    assert (report.image.shared_layers, len(report.image.new_layers)) == (1, 1)
    log = file_log(world.process(), world.config(), "image/layer-002", 10)
    assert [(entry.version, entry.change) for entry in log.entries] == [("v2", "changed"), ("v1", "added")]


def test_reports_name_the_image(world: World) -> None:
    world.release_image(f"{CI}:1")
    (world.folder / "Dockerfile").write_text("FROM scratch\n")
    world.release("v2")
    world.rollback()
    services = world.process()
    name = f"{CI}:1@{pinned(ONE).partition('@')[2]}"
    assert f"from image  {name}" in render_show.show(show(services, APP, "v1"))
    assert f"from {CI}:1" in str(render_tree.tree(lineage(services, APP)))
    rows = history(services, APP, 10).deployments
    assert [row.from_image for row in rows] == [name, None, name]
    assert f"image {name}" in [
        str(cell) for cell in render_history.history(history(services, APP, 10)).columns[8].cells
    ]
    who = who_was_live(services, APP, world.now(), world.now())
    assert who.live[-1].from_image == name
    assert f"made from the image {name} by" in render_who.who_was_live(who)


def test_verify_finds_nothing_wrong(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.release_image(f"{CI}:2")
    report = verify(world.process(), APP)
    assert report.problems == ()
    assert report.checked["images"] == 2


def test_a_rebuilt_ledger_knows_the_image(world: World) -> None:
    world.release_image(f"{CI}:1")
    (version,) = record.restore(world.access.evidence(), APP, "blue", 1, "now").versions
    assert version.from_image == world.ledger.versions(APP)["v1"].from_image


# --- the way back -----------------------------------------------------------------------------------------------------


def lose(world: World, version: str = "v1") -> None:
    for container in world.workloads.containers(APP):
        if container.version == version:
            world.workloads.remove(container)
    world.engine.images.pop(f"{APP}:{version}", None)


def test_a_rollback_pulls_the_image_from_where_it_came(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.release_image(f"{CI}:2")
    lose(world)
    previous = status(world.process(), APP, "").previous
    assert previous is not None
    assert previous.rollback.mode == "pull"
    world.engine.publish(f"{CI}:1", TWO)
    world.rollback()
    assert world.served() == "v1"
    assert world.engine.images[f"{APP}:v1"] == ONE


def test_a_pruned_version_can_be_rolled_back_to(world: World) -> None:
    world.versions = 2
    three, four = ("sha256:" + digit * 64 for digit in "34")
    world.engine.publish(f"{CI}:3", three)
    world.engine.publish(f"{CI}:4", four)
    for number in range(1, 5):
        world.release_image(f"{CI}:{number}")
    with world.services.locks.app(APP):
        prune(world.services, APP, 2)
    assert f"{APP}:v1" not in world.engine.images
    world.rollback("v1")
    assert world.served() == "v1"


@pytest.mark.parametrize("commit", [None, "c0ffee"])
def test_an_image_that_no_registry_has_does_not_come_back(world: World, commit: str | None) -> None:
    world.supply.commit = commit
    here(world)
    world.release_image("ci:1")
    world.release_image(f"{CI}:2")
    lose(world)
    world.engine.images.pop("ci:1")
    previous = status(world.process(), APP, "").previous
    assert previous is not None
    assert previous.rollback.mode == "gone"
    with pytest.raises(UsageError) as caught:
        world.rollback()
    assert "no registry is known to have the image ci:1" in caught.value.why


def test_a_pull_that_fails_says_that_nothing_can_be_built(world: World) -> None:
    world.release_image(f"{CI}:1")
    world.release_image(f"{CI}:2")
    lose(world)
    world.engine.refusal = "EOF"
    with pytest.raises(DeploymentFailed) as caught:
        world.rollback()
    assert "it cannot be rebuilt: it was not built here" in caught.value.why
    assert world.served() == "v2"


def test_a_lost_container_is_made_again(world: World) -> None:
    world.release_image(f"{CI}:1")
    (container,) = world.workloads.containers(APP)
    world.workloads.remove(container)
    world.recover()
    assert world.served() == "v1"


def test_no_tag_is_written_in_git(world: World) -> None:
    world.more = "[git]\ntag = true\n"
    world.supply.commit = "c0ffee"
    world.release_image(f"{CI}:1")
    assert world.supply.tags == {}
    name = world.ledger.versions(APP)["v1"].from_image
    assert f"the tag {APP}/v1 was not written: v1 was made from the image {name}" in world.reports.notes


def test_a_folder_that_must_be_clean_must_be_clean(world: World) -> None:
    world.more = "[git]\nrequire_clean = true\n"
    world.supply.commit, world.supply.changed = "c0ffee", ("deploy.toml",)
    with pytest.raises(UsageError, match=r"git\.require_clean: 1 path differs"):
        world.release_image(f"{CI}:1")
    world.supply.changed = ()
    world.release_image(f"{CI}:1")
    assert world.ledger.versions(APP)["v1"].git_commit is None
