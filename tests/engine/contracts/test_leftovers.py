"""The contract of `Leftovers`. The cache of the machine's engine is only listed: it belongs to other builds too."""

from __future__ import annotations

import pytest

from orchestrator.domain.version.build import Leftover
from tests.engine.contracts.rig import STAYS, Rig

pytestmark = pytest.mark.engine


def images(rig: Rig, *needed: str) -> dict[str, Leftover]:
    return {each.id: each for each in rig.leftovers.find(needed) if each.kind == "image"}


def test_an_image_that_lost_its_tag_is_left_until_it_is_removed(rig: Rig) -> None:
    old, new = rig.build(), rig.build()
    found = images(rig)
    assert new.image_id not in found
    assert old.image_id not in images(rig, old.image_id), "it is needed"
    assert found[old.image_id].size >= 0
    assert rig.leftovers.remove(found[old.image_id]) is not None
    assert rig.images.find(old.image_id) is None
    assert rig.leftovers.remove(found[old.image_id]) is None
    assert old.image_id not in images(rig)


def test_an_image_that_a_container_uses_is_not_left(rig: Rig) -> None:
    old = rig.build()
    container = rig.create(old)
    rig.build()
    assert old.image_id not in images(rig)
    rig.workloads.remove(container)
    assert old.image_id in images(rig)


def test_a_volume_goes_with_its_container_or_is_left(rig: Rig) -> None:
    version = rig.build(text=f"FROM deployctl-base:bookworm\nRUN mkdir /data && touch /data/x\nVOLUME /data\n{STAYS}\n")

    def volumes() -> list[Leftover]:
        return [each for each in rig.leftovers.find(()) if each.kind == "volume"]

    container = rig.run(version)
    assert volumes() == []
    if rig.fake is not None:
        rig.workloads.remove(container)
        rig.fake.lost_volumes["v"] = 1
    else:
        made = rig.client().containers.get(container.id)
        assert made.exec_run(["ls", "/data"]).output == b"x\n", "as for every anonymous volume"
        assert rig.workloads.differences(container, rig.spec(version)) == []
        # What a person removes without -v.
        rig.client().api.remove_container(container.id, force=True)
    [left] = volumes()
    assert rig.leftovers.remove(left) is not None
    assert rig.leftovers.remove(left) is None
    assert volumes() == []
    rig.workloads.remove(rig.run(version))
    assert volumes() == []


def test_the_cache_is_listed_with_its_size(rig: Rig) -> None:
    if rig.fake is not None:
        rig.fake.caches[""] = 5
    for left in rig.leftovers.find(()):
        assert left.size >= 0
        assert left.words
        assert left.kind != "cache" or left.size > 0
