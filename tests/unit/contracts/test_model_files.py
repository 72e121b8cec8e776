"""The contract of `ModelFiles`."""

from __future__ import annotations

import pytest

from orchestrator.errors import StorageError
from tests.fakes.progress import FakeProgress
from tests.unit.contracts.supply import APP, Rig


def test_a_version_has_model_files_from_keep_to_drop(rig: Rig) -> None:
    models = rig.supply.models
    assert not models.has(APP, "v1")
    rig.take("v1")
    rig.take("v1")
    assert models.has(APP, "v1")
    assert models.folder(APP, "v1").name == "v1"
    for _ in range(2):
        models.drop(APP, "v1")
        assert not models.has(APP, "v1")


def test_only_what_no_version_needs_is_collected(rig: Rig) -> None:
    models = rig.supply.models
    rig.take("v1")
    rig.write("newer")
    rig.take("v2")
    assert models.collect() == 0
    models.drop(APP, "v1")
    assert models.collect() == len("old")
    assert models.collect() == 0


def test_files_in_the_store_are_restored(rig: Rig) -> None:
    first = rig.take("v1")
    rig.take("v2")
    manifest = rig.supply.manifests.load(first.manifest)
    rig.supply.models.drop(APP, "v1")
    assert rig.supply.models.restore(first, manifest)
    assert rig.supply.models.has(APP, "v1")
    assert rig.supply.models.restore(first, manifest)


def test_files_that_were_collected_are_not_restored(rig: Rig) -> None:
    first = rig.take("v1")
    manifest = rig.supply.manifests.load(first.manifest)
    rig.supply.models.drop(APP, "v1")
    rig.supply.models.collect()
    assert not rig.supply.models.restore(first, manifest)
    assert not rig.supply.models.restore(first, None)
    assert manifest is not None
    with pytest.raises(StorageError):
        rig.supply.models.keep(APP, "v1", manifest)


def test_what_is_kept_has_no_faults(rig: Rig) -> None:
    first = rig.take("v1")
    manifest = rig.supply.manifests.load(first.manifest)
    assert manifest is not None
    assert rig.supply.models.faults(APP, "v1", manifest) == []
    assert [wrong for _, wrong in rig.supply.models.check(FakeProgress())] == [None]
    rig.supply.models.drop(APP, "v1")
    assert len(rig.supply.models.faults(APP, "v1", manifest)) == 1


def test_tidy_leaves_what_is_kept(rig: Rig) -> None:
    rig.take("v1")
    rig.supply.models.tidy(APP)
    rig.supply.models.tidy(APP)
    assert rig.supply.models.has(APP, "v1")
