"""The contract of `Manifests`."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.progress import FakeProgress
from tests.unit.contracts.supply import Rig


def test_the_same_sources_have_the_same_manifest(rig: Rig) -> None:
    first = rig.supply.manifests.read(rig.config, keep=False, progress=FakeProgress())
    assert rig.supply.manifests.read(rig.config, keep=False, progress=FakeProgress()).digest == first.digest
    rig.write("new")
    assert rig.supply.manifests.read(rig.config, keep=False, progress=FakeProgress()).digest != first.digest


def test_a_manifest_has_context_and_model_files(rig: Rig) -> None:
    manifest = rig.supply.manifests.read(rig.config, keep=False, progress=FakeProgress())
    assert {"context/Dockerfile", "model/weights"} <= manifest.files.keys()


def test_a_manifest_is_loaded_after_it_was_kept(rig: Rig) -> None:
    manifest = rig.supply.manifests.read(rig.config, keep=True, progress=FakeProgress())
    assert rig.supply.manifests.load(manifest.digest) is None
    rig.supply.models.keep("mymodel", "v1", manifest)
    assert rig.supply.manifests.load(manifest.digest) == manifest


def test_nothing_has_changed_directly_after_a_read(rig: Rig) -> None:
    manifest = rig.supply.manifests.read(rig.config, keep=False, progress=FakeProgress())
    assert rig.supply.manifests.changed(rig.config, manifest) is None


def test_a_link_out_of_the_model_folder_is_named(rig: Rig, tmp_path: Path) -> None:
    assert rig.supply.manifests.followed(rig.config) == []
    (tmp_path / "blob").write_text("weights")
    (rig.folder / "model" / "more").symlink_to(tmp_path / "blob")
    (rig.folder / "model" / "inside").symlink_to("weights")
    if rig.state is not None:
        rig.state.followed = [("more", tmp_path / "blob")]
    assert rig.supply.manifests.followed(rig.config) == [("more", tmp_path / "blob")]
