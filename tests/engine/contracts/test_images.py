"""The contract of `Images`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from orchestrator.errors import BuildFailed, EngineError, Interrupted
from tests.engine.contracts.rig import STAYS, Rig
from tests.fakes.progress import FakeProgress

pytestmark = pytest.mark.engine


def test_an_image_is_found_by_name_and_by_id_until_it_is_removed(rig: Rig) -> None:
    version = rig.build()
    for reference in (version.image, version.image_id):
        image = rig.images.find(reference)
        assert image is not None
        assert image.id == version.image_id
        assert {key: image.labels[key] for key in ("deployctl.app", "deployctl.version")} == {
            "deployctl.app": rig.app,
            "deployctl.version": "v1",
        }
    assert rig.images.find(f"{rig.app}:v9") is None
    assert rig.images.remove(version.image, version.image_id) is True
    assert rig.images.find(version.image) is None
    assert rig.images.find(version.image_id) is None
    assert rig.images.remove(version.image, version.image_id) is False


def test_an_image_has_layers_until_it_is_removed(rig: Rig) -> None:
    version = rig.build()
    layers = rig.images.layers(version.image_id)
    assert layers
    assert all(layer.digest.startswith("sha256:") and layer.size > 0 for layer in layers)
    rig.images.remove(version.image, version.image_id)
    assert rig.images.layers(version.image_id) == []


def test_a_failed_build_leaves_the_tag_as_it_is(rig: Rig) -> None:
    version = rig.build()
    if rig.fake is not None:
        rig.fake.broken_builds.add("v1")
    with pytest.raises(BuildFailed) as caught:
        rig.build(text="FROM deployctl-base:bookworm\nRUN false\n")
    assert "RUN false" in caught.value.details
    image = rig.images.find(version.image)
    assert image is not None
    assert image.id == version.image_id


def test_an_interrupted_build_leaves_the_tag_as_it_is(rig: Rig) -> None:
    def interrupted() -> None:
        raise Interrupted("somebody pressed Ctrl-C", signal=2)

    version = rig.build()
    with pytest.raises(Interrupted):
        rig.images.build(replace(rig.build_spec(), builder="classic"), FakeProgress(interrupted))
    image = rig.images.find(version.image)
    assert image is not None
    assert image.id == version.image_id


def test_a_build_reports_what_it_does(rig: Rig) -> None:
    rig.build()
    assert rig.progress.details


def test_images_with_the_same_parent_are_removed_side_by_side(rig: Rig) -> None:
    for number in range(5):
        text = f"FROM deployctl-base:bookworm\nENV ROUND={number}\n{STAYS}\n"
        versions = [rig.build(f"v{version}", text=text) for version in range(6)]
        with ThreadPoolExecutor(len(versions)) as pool:
            removed = list(pool.map(lambda one: rig.images.remove(one.image, one.image_id), versions))
        assert removed == [True] * len(versions)
        assert all(rig.images.find(version.image_id) is None for version in versions)


def test_an_image_that_a_container_uses_stays(rig: Rig) -> None:
    version = rig.build()
    container = rig.create(version)
    assert rig.images.remove(version.image, version.image_id) is False
    image = rig.images.find(version.image)
    assert image is not None
    assert image.id == version.image_id
    rig.workloads.remove(container)
    assert rig.images.remove(version.image, version.image_id) is True


def test_an_image_that_lost_its_tag_is_found_by_its_id(rig: Rig) -> None:
    old, new = rig.build(), rig.build()
    assert old.image_id != new.image_id
    tagged, untagged = rig.images.find(new.image), rig.images.find(old.image_id)
    assert tagged is not None
    assert tagged.id == new.image_id
    assert untagged is not None
    assert untagged.id == old.image_id
    assert rig.images.remove(old.image, old.image_id) is True
    assert rig.images.find(old.image_id) is None
    assert rig.images.find(new.image) == tagged, "the tag is the new image's"


def test_an_image_without_a_name_takes_space(rig: Rig) -> None:
    rig.build()
    rig.build()
    usage = rig.images.usage()
    assert usage.folder.startswith("/")
    assert usage.dangling >= 1
    assert usage.dangling_bytes > 0
    assert usage.cache_bytes >= 0


def test_an_image_names_its_volumes(rig: Rig) -> None:
    if rig.fake is not None:
        rig.fake.image_volumes = ("/data", "/var/x")
    version = rig.build(text="FROM deployctl-base:bookworm\nVOLUME /var/x /data\n")
    found = rig.images.find(version.image)
    assert found is not None
    assert found.volumes == ("/data", "/var/x")


def test_an_image_gets_another_name(rig: Rig) -> None:
    old, new = rig.build("v1"), rig.build("v2")
    other = f"{rig.app}:other"
    try:
        for version in (old, new, new):
            rig.images.tag(version.image_id, other)
            found = rig.images.find(other)
            assert found is not None
            assert found.id == version.image_id
    finally:
        assert rig.images.remove(other, new.image_id) is True
    assert rig.images.find(new.image) is not None
    with pytest.raises(EngineError):
        rig.images.tag("sha256:" + "f" * 64, other)


def test_an_image_is_for_the_platform_of_the_engine(rig: Rig) -> None:
    image = rig.images.find(rig.build().image)
    assert image is not None
    assert image.platform == rig.images.platform()
    assert image.platform.startswith("linux/")


def test_images_are_found_by_their_labels(rig: Rig) -> None:
    old, new = rig.build(), rig.build()
    rig.build("v2")
    labels = {"deployctl.app": rig.app, "deployctl.version": "v1", "deployctl.state": rig.state_id}
    assert sorted(rig.images.labelled(labels)) == [("", old.image_id), (f"{rig.app}:v1", new.image_id)]
    assert rig.images.labelled({**labels, "deployctl.state": "another"}) == []
