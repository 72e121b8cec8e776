"""`prune --cache`: what builds have left on the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.render.prune import prune as render
from orchestrator.domain.version.build import Leftover
from orchestrator.release.prune import Cleared, prune
from orchestrator.reports.catalog import report_schema
from orchestrator.reports.events import Filters, events
from orchestrator.reports.prune import PruneReport, records
from orchestrator.reports.serialize import document
from tests.fakes.world import APP, World
from tests.unit.reports.conforming import conforms


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.close()


STAGE = Leftover("image", "sha256:57a9e", 1)
CACHE, OF_BUILDER = Leftover("cache", "", 500), Leftover("cache", "mine", 70)
VOLUME = Leftover("volume", "0123456789abcdef", 30)
ALL = (STAGE, CACHE, OF_BUILDER, VOLUME)


def leave(world: World) -> None:
    """v1 and v2; and a stage of a build, two caches, and a volume."""
    world.release("v1")
    world.release("v2")
    world.engine.untagged.add(STAGE.id)
    world.engine.caches |= {"": 500, "mine": 70}
    world.engine.lost_volumes[VOLUME.id] = 30


def clear(world: World, *, dry_run: bool = False) -> Cleared:
    _, cleared = prune(world.process(), APP, 5, dry_run=dry_run, cache=True)
    assert cleared is not None
    return cleared


def test_nothing_of_it_is_touched_without_the_option(world: World) -> None:
    leave(world)
    assert prune(world.process(), APP, 5, dry_run=False)[1] is None
    assert clear(world, dry_run=True) == Cleared(ALL, None)
    assert world.reports.notes == []


def test_what_is_left_is_removed_and_named(world: World) -> None:
    leave(world)
    assert clear(world) == Cleared(ALL, 601)
    [note] = world.reports.notes
    assert note.startswith("dangling images and the build cache are shared by all programs that build on machine")
    assert (world.engine.untagged, world.engine.caches, world.engine.lost_volumes) == (set(), {}, {})
    assert world.live() == ("v2", "green")
    [event] = events(world.services, APP, 1, Filters(kinds=("pruned",))).events
    words = "1 dangling image, 1 anonymous volume, build cache, build cache of the builder mine"
    assert event.text == f"removed: {words}"
    assert clear(world) == Cleared((), 0)
    assert world.reports.notes == []


def test_images_of_kept_versions_stay_although_their_tags_moved(world: World) -> None:
    leave(world)
    image_id = world.ledger.versions(APP)["v1"].image_id
    # Another state folder has built an app of the same name, and the kept containers were removed.
    world.engine.containers = {key: each for key, each in world.engine.containers.items() if each.version != "v1"}
    world.engine.images = {tag: each for tag, each in world.engine.images.items() if each != image_id}
    world.engine.untagged.add(image_id)
    assert clear(world) == Cleared(ALL, 601)
    assert world.engine.untagged == {image_id}


def test_what_cannot_be_removed_is_noted_and_stops_nothing(world: World) -> None:
    leave(world)
    world.engine.stuck = {STAGE.id}
    assert clear(world) == Cleared(ALL[1:], 600)
    assert world.reports.notes[1:] == [
        "image 57a9e was not removed: the engine could not remove the image 57a9e: it is busy"
    ]


def test_an_app_that_was_never_released(world: World) -> None:
    world.engine.caches[""] = 5
    assert clear(world) == Cleared((Leftover("cache", "", 5),), 5)


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_report(dry_run: bool) -> None:
    report = PruneReport("mymodel", dry_run, (), (), (), None, records(ALL), None if dry_run else 2**30)
    assert conforms(document(report), report_schema("prune")) == []
    verb = "would be removed" if dry_run else "removed"
    assert render(report).splitlines() == [
        "nothing to remove",
        f"{verb}: image 57a9e, 1 B",
        f"{verb}: build cache, 500 B",
        f"{verb}: build cache of the builder mine, 70 B",
        f"{verb}: volume 0123456789ab, 30 B",
        *([] if dry_run else ["1 GiB freed on the engine"]),
    ]
    report = PruneReport("mymodel", dry_run, ("v1",), ("c",), ("i",), None, ())
    assert render(report).splitlines() == [f"{verb}: c, i", "no dangling images, build cache or volumes to remove"]
