"""What is told of an app."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cli import render_versions
from orchestrator.reports.versions import lineage
from tests.unit.fakes import APP, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    made.release("v1")
    yield made
    made.close()


def test_a_long_lineage_is_told_from_its_newest_end(world: World) -> None:
    first = world.ledger.versions(APP)["v1"]
    for number in range(2, 1500):
        world.ledger.record_version(replace(first, name=f"v{number}", parent=f"v{number - 1}"))
    found = lineage(world.process(), APP)
    assert found["older"] == 1299
    (root,) = found["versions"]
    assert (root["version"], root["parent"]) == ("v1300", "v1299")
    depth, row = 1, root
    while row["children"]:
        depth, row = depth + 1, row["children"][0]
    assert (depth, row["version"]) == (200, "v1499")
    assert render_versions.tree(found).plain.splitlines()[-1] == "└─ and 1299 older version(s)"
    assert lineage(world.process(), APP, 3)["older"] == 1496
