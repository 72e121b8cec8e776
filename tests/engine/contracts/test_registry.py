"""The contract of `Registry`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestrator.errors import EngineError, RegistryError
from tests.engine.contracts.rig import Rig
from tests.engine.registries import registry

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder, folder / "images") as running:
        yield running


def test_an_image_goes_to_a_registry_and_comes_back(rig: Rig, host: str) -> None:
    version = rig.build(text="FROM scratch\nCOPY version /\n")
    reference = f"{host}/{rig.app}:v1"
    pushed = rig.registry.push(version.image_id, reference, rig.progress)
    assert pushed.startswith(f"{host}/{rig.app}@sha256:")
    assert rig.registry.push(version.image_id, reference, rig.progress) == pushed, "the second time it is the same"
    assert rig.registry.untag(reference) is False, "the name is removed already"
    assert rig.images.remove(version.image, version.image_id) is True
    assert rig.images.find(version.image_id) is None
    version = replace(version, pushed=pushed)
    for _ in range(2):
        assert rig.registry.pull(version, rig.progress) == version.image_id
        image = rig.images.find(version.image)
        assert image is not None
        assert image.id == version.image_id
    assert rig.registry.untag(pushed) is False
    assert rig.images.remove(version.image, version.image_id) is True
    assert rig.images.find(version.image_id) is None


def test_a_registry_that_answers_passes_the_check(rig: Rig, host: str) -> None:
    rig.registry.check(f"{host}/{rig.app}")


def test_what_a_registry_does_not_have_cannot_be_pulled(rig: Rig, host: str) -> None:
    version = replace(rig.build(), pushed=f"{host}/{rig.app}@sha256:" + "0" * 64)
    with pytest.raises(RegistryError, match="could not be pulled"):
        rig.registry.pull(version, rig.progress)


def test_what_the_engine_does_not_have_cannot_be_pushed(rig: Rig, host: str) -> None:
    with pytest.raises(EngineError):
        rig.registry.push("sha256:" + "f" * 64, f"{host}/{rig.app}:v1", rig.progress)


def test_what_a_registry_has_is_resolved_and_fetched(rig: Rig, host: str) -> None:
    version = rig.build(text="FROM scratch\nCOPY version /\n")
    reference = f"{host}/{rig.app}:v1"
    assert rig.registry.resolve(reference, rig.progress) is None
    pushed = rig.registry.push(version.image_id, reference, rig.progress)
    for name in (reference, pushed):
        found = rig.registry.resolve(name, rig.progress)
        assert found is not None
        assert found.pinned == pushed
        assert rig.images.platform() in found.platforms
    assert rig.registry.resolve(f"{host}/{rig.app}@sha256:{'0' * 64}", rig.progress) is None
    assert rig.images.remove(version.image, version.image_id) is True
    for _ in range(2):
        image_id = rig.registry.fetch(pushed, rig.progress)
    image = rig.images.find(pushed)
    assert image is not None
    assert (image.id, image_id) == (version.image_id, version.image_id)
    assert pushed in image.digests
    rig.images.tag(image_id, version.image)
    assert rig.registry.untag(pushed) is True
    assert rig.images.find(pushed) is None
    assert rig.images.remove(version.image, version.image_id) is True
    with pytest.raises(RegistryError, match="could not be pulled"):
        rig.registry.fetch(f"{host}/{rig.app}@sha256:{'0' * 64}", rig.progress)
