"""What a release says about what it changes, and when it has nothing to change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.render.diff import changes
from orchestrator.domain.version.manifest import File
from orchestrator.errors import UsageError
from orchestrator.reports.plan import PlanReport, preview
from tests.fakes.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.close()


def planned(world: World, action: str = "release", version: str | None = None) -> PlanReport:
    return preview(world.process(), world.config(), action, version, ref=None)


def test_an_identical_version_is_made_only_by_force(world: World) -> None:
    world.release("v1")
    again = world.release()
    assert (again.version, again.deployment) == ("v1", None)
    assert planned(world).changes is False
    with pytest.raises(UsageError, match="v2 would be the same as v1"):
        world.release("v2", context="sha256:v1")
    assert world.live() == ("v1", "blue")
    forced = world.release("v2", context="sha256:v1", force=True)
    assert (forced.previous, world.live()) == ("v1", ("v2", "green"))


@pytest.mark.parametrize(
    "more",
    ['[health]\npath = "/x"\n', "[proxy.more]\n", '[registry]\npush = "registry.example.com/m"\n'],
)
def test_a_changed_setting_is_a_change(world: World, more: str) -> None:
    world.release("v1")
    if more.startswith("[proxy"):
        world.listen = "127.0.0.1:8001"
    else:
        world.more = more
    assert planned(world).changes is True


def files(*names: str) -> tuple[File, ...]:
    return tuple(File(f"context/{name}", "file", "0644", 1024, name.encode().hex().ljust(64, "0")) for name in names)


def test_the_plan_says_which_settings_and_files_differ(world: World) -> None:
    world.supply.files = files("a", "b")
    assert planned(world).diff is None
    world.release()
    world.env, world.replicas = 'TOKEN = "hunter2"', 2
    # The same version with other settings.
    report = planned(world, version="v1")
    assert report.diff is not None
    assert [change.key for change in report.diff.settings] == ["environment.TOKEN", "run.replicas"]
    world.supply.files = files("b", "c")
    report = planned(world)
    assert report.diff is not None
    assert (report.diff.from_, report.diff.to, report.diff.image) == ("v1", "v2", None)
    assert changes(report.diff).splitlines() == [
        "files: 1 added, 1 removed, 0 changed; 1 KiB new",
        "  - context/a  1 KiB",
        "  + context/c  1 KiB",
        "settings:",
        "  ~ environment.TOKEN: nothing → (hidden)",
        "  ~ run.replicas: 1 → 2",
    ]
    world.supply.files = files(*(f"f{number}" for number in range(100)))
    report = planned(world)
    assert report.diff is not None
    lines = changes(report.diff).splitlines()
    assert lines[0] == "files: 100 added, 2 removed, 0 changed; 100 KiB new"
    assert lines[21] == "  … and 82 more"


def test_a_rollback_says_what_it_brings_back(world: World) -> None:
    world.supply.files = files("a")
    world.release()
    world.replicas = 2
    world.release("v2")
    report = planned(world, "rollback")
    assert report.diff is not None
    assert [(c.key, c.before, c.after) for c in report.diff.settings] == [("run.replicas", 2, 1)]
    assert report.diff.files == ()


def test_a_moved_address_is_announced(world: World) -> None:
    world.release("v1")
    world.listen = "127.0.0.1:9000"
    note = "mymodel moves from 127.0.0.1:8000 to 127.0.0.1:9000: requests to 127.0.0.1:8000 will not reach it any more"
    world.supply.context = "sha256:v2"
    assert note in planned(world).notes
    assert note in world.release("v2").notes
    assert not [text for text in planned(world, "rollback").notes if "moves" in text]
    world.listen = "127.0.0.1:8000"
    assert [text for text in planned(world, "rollback").notes if "moves from 127.0.0.1:9000" in text]


def test_a_plan_does_not_depend_on_the_record_of_the_live_version(world: World) -> None:
    world.supply.files = files("a")
    world.release()
    world.supply.files = files("b")
    for lost in (world.supply.damaged.update, lambda digests: world.supply.manifests.clear()):
        lost(list(world.supply.manifests))
        assert planned(world).changes is True
        assert planned(world).diff is None
