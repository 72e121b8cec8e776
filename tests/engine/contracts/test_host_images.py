"""The contract of `HostImages`."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from orchestrator.errors import BuildFailed, Interrupted
from tests.engine.contracts.rig import Rig
from tests.engine.contracts.test_host_containers import break_builds, wanted
from tests.fakes.progress import FakeProgress

pytestmark = pytest.mark.engine


def test_a_base_image_can_be_found(rig: Rig) -> None:
    base = rig.host_images.find("deployctl-base:bookworm")
    assert base is not None
    assert rig.host_images.find(base.id) == base
    assert rig.host_images.find("deployctl-nobody-has-this:1") is None


def test_an_image_is_built_anew_each_time(rig: Rig) -> None:
    # Without the cache, each build gives another file, and so another image.
    spec = wanted(rig, last="RUN cat /proc/sys/kernel/random/uuid > /built")
    began = time.time()
    first = rig.host_images.build(spec, spec.image, rig.progress)
    second = rig.host_images.build(spec, f"{spec.image}-next", rig.progress)
    assert first.id != second.id
    assert began - 2 < first.built_at <= time.time() + 2
    assert rig.host_images.find(spec.image) == first
    assert rig.host_images.find(f"{spec.image}-next") == second
    assert rig.progress.details


def test_the_image_of_a_helper(rig: Rig) -> None:
    spec = wanted(rig)
    assert rig.host_images.of(spec.name) is None
    image = rig.host_images.build(spec, spec.image, rig.progress)
    rig.hosts.create(replace(spec, image=image.id))
    assert rig.host_images.of(spec.name) == image
    # It is known by its id when its name belongs to another one.
    rig.host_images.build(replace(spec, dockerfile=f"{spec.dockerfile}ENV MORE=1\n"), spec.image, rig.progress)
    assert rig.host_images.of(spec.name) == image


def test_an_image_has_several_names(rig: Rig) -> None:
    spec, other = wanted(rig), f"{wanted(rig).image}-other"
    image = rig.host_images.build(spec, spec.image, rig.progress)
    for _ in range(2):
        rig.host_images.name(image.id, other)
        assert rig.host_images.find(other) == image
    assert rig.host_images.remove(image.id) is False, "it has two names"
    assert rig.host_images.remove(spec.image) is True
    assert rig.host_images.find(spec.image) is None
    assert rig.host_images.find(other) == image
    assert rig.host_images.remove(image.id) is True
    assert rig.host_images.find(image.id) is None
    assert rig.host_images.remove(image.id) is False


def test_an_image_that_a_helper_uses_is_kept(rig: Rig) -> None:
    spec = wanted(rig)
    rig.hosts.start(spec, lambda text: None)
    image = rig.host_images.of(spec.name)
    assert image is not None
    assert rig.host_images.remove(image.id) is False
    rig.hosts.remove(spec.name)
    assert rig.host_images.remove(image.id) is True


def test_a_build_that_fails_changes_no_name(rig: Rig) -> None:
    spec = wanted(rig)
    image = rig.host_images.build(spec, spec.image, rig.progress)
    bad = replace(spec, dockerfile=f"{spec.dockerfile}RUN false\n")
    break_builds(rig, spec)
    with pytest.raises(BuildFailed) as caught:
        rig.host_images.build(bad, spec.image, rig.progress)
    assert "RUN false" in caught.value.details
    assert rig.host_images.find(spec.image) == image


def test_a_build_can_be_stopped(rig: Rig) -> None:
    def stop() -> None:
        raise Interrupted("SIGINT", signal=2)

    spec = wanted(rig)
    with pytest.raises(Interrupted):
        rig.host_images.build(spec, spec.image, FakeProgress(stop))
    assert rig.host_images.find(spec.image) is None
