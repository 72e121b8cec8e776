"""`list`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.render.apps import apps as rendered
from orchestrator.reports.apps import AppRow, apps
from tests.fakes.world import World
from tests.unit.cli.running import Run, document, expect


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.close()


def test_an_empty_state_folder(run: Run, tmp_path: Path) -> None:
    done = run("list")
    expect(done, 0)
    assert done.stdout == f"no app in {tmp_path / 'state'}\n"
    assert document(run("list", "--json"))["apps"] == []


def test_the_apps_of_a_ledger(world: World) -> None:
    world.release("v1")
    world.listen, world.more = "127.0.0.1:9000", ""
    world.release("v2")
    services = world.process()
    services.ledger.app_number("another")
    report = apps(services)
    another, own = report.apps
    assert another == AppRow("another", None, None, None, None, (), "", 0, False, None)
    assert (own.app, own.live, own.slot, own.versions, own.deploying) == ("mymodel", "v2", "green", 2, False)
    assert (own.listen, own.file) == ("127.0.0.1:9000", str(world.folder / "deploy.toml"))
    assert rendered(report).splitlines() == [
        "another  not live  0 versions",
        "mymodel  v2 since 2031-05-06 07:08:09 UTC  at 127.0.0.1:9000  2 versions  " + str(own.file),
    ]
