"""Reports about versions, on a ledger with a lineage of known files: tree, show, diff, log, who-was-live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.render.diff import diff as render_diff
from orchestrator.config import Config, parse
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.manifest import EMPTY, File, Manifest, delta
from orchestrator.domain.version.tensors import TensorChange, TensorDifference
from orchestrator.errors import UsageError
from orchestrator.reports.catalog import report_schema
from orchestrator.reports.diff import compare, manifest_of, version_of
from orchestrator.reports.file_log import file_log
from orchestrator.reports.serialize import document
from orchestrator.reports.versions import lineage, show
from orchestrator.reports.who_was_live import live_periods, who_was_live
from tests.fakes.supply import FakeTensors
from tests.fakes.world import World
from tests.unit.builders import APP, version
from tests.unit.reports.conforming import conforms


def configured(more: str = "") -> Config:
    return parse(f'[app]\nname = "{APP}"\nport = 8080\n{more}', file="deploy.toml", base=Path("/nowhere"))


def file(path: str, text: str) -> File:
    return File(path, "file", "0644", len(text), text.encode().hex().ljust(64, "0"))


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


@pytest.fixture
def record(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Records a version with these files; its parent is the one before it, unless another is named."""
    manifests: dict[str, Manifest] = {}
    monkeypatch.setattr(world.supply, "manifests", manifests)
    made: dict[str, Manifest] = {}
    ledger = world.services.ledger
    ledger.app_number(APP)

    def record_version(name: str, parent: str | None, **files: str) -> None:
        manifest = Manifest.of([file(f"model/{path}", text) for path, text in files.items()], {})
        manifests[manifest.digest] = made[name] = manifest
        one = replace(version(name), parent=parent, manifest=manifest.digest, settings=configured().snapshot())
        ledger.record_version(one, delta(made.get(parent or "", EMPTY), manifest))

    return record_version


def test_the_log_of_a_file_follows_the_lineage(world: World, record: Callable[..., None]) -> None:
    record("v1", None, a="1", b="1")
    record("v2", "v1", b="1")
    record("v3", "v1", a="1", b="2")
    record("v4", "v2", a="4", b="1")
    record("v5", "v3", a="5")
    report = file_log(world.services, configured(), "a", 50)
    assert conforms(document(report), report_schema("log")) == []
    assert report.file == "model/a"
    assert [(row.version, row.change, row.size) for row in report.entries] == [
        ("v5", "changed", 1),
        ("v4", "added", 1),
        ("v2", "removed", None),
        ("v1", "added", 1),
    ]
    short = file_log(world.services, configured(), "model/a", 1)
    assert (len(short.entries), short.older) == (1, 3)


def test_an_unknown_file_is_refused_with_similar_names(world: World, record: Callable[..., None]) -> None:
    record("v1", None, weights="1")
    with pytest.raises(UsageError, match="no version of mymodel has a file 'model/wieghts'") as caught:
        file_log(world.services, configured(), "model/wieghts", 50)
    assert caught.value.why == "similar names: model/weights"


def test_who_was_live_is_exact_to_the_millisecond(world: World, record: Callable[..., None]) -> None:
    record("v1", None, a="1")
    record("v2", "v1", a="2")
    slots: tuple[tuple[Slot, str, str], ...] = (
        ("blue", "v1", "2031-01-01T00:00:00.000Z"),
        ("green", "v2", "2031-01-02T00:00:00.000Z"),
    )
    for slot, name, since in slots:
        world.services.ledger.go_live(SlotState(APP, slot, name, 1, "ready", since), TrafficState(live=slot))

    def at(start: str, end: str | None = None) -> list[Any]:
        first = datetime.fromisoformat(start)
        rows = who_was_live(world.services, APP, first, datetime.fromisoformat(end) if end else first).live
        return [row.version for row in rows]

    assert at("2030-12-31T23:59:59.999+00:00") == []
    assert at("2031-01-01T00:00:00.000+00:00") == ["v1"]
    assert at("2031-01-01T23:59:59.999+00:00") == ["v1"]
    assert at("2031-01-02T00:00:00.000+00:00") == ["v2"]
    assert at("2031-01-01T12:00+00:00", "2031-01-03T00:00+00:00") == ["v1", "v2"]
    assert [(row.since, row.until) for row in live_periods(world.services, APP, "v1")] == [
        ("2031-01-01T00:00:00.000Z", "2031-01-02T00:00:00.000Z")
    ]


def test_a_comparison_counts_the_bytes_that_are_unique(world: World, record: Callable[..., None]) -> None:
    record("v1", None, a="same", b="old", c="moved")
    record("v2", "v1", a="same", b="newer", d="moved")
    report = compare(world.services, configured(), "v1", "v2")
    assert conforms(document(report), report_schema("diff")) == []
    assert [(row.path, row.change) for row in report.files] == [
        ("model/b", "changed"),
        ("model/c", "removed"),
        ("model/d", "added"),
    ]
    assert report.summary.new_bytes == len("newer")
    assert compare(world.services, configured(), "v2", "v2").files == ()
    with pytest.raises(UsageError, match="there is no version v9"):
        version_of(world.services, APP, "v9")


def test_no_file_takes_the_time_of_another(
    world: World, record: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = FakeTensors()
    monkeypatch.setattr(world.services, "tensors", tensors)
    monkeypatch.setattr(world.services, "clock", lambda: tensors.now)
    sizes = {"first.npy": 3, "second.npy": 2, "third.npy": 1, "code.py": 4}
    record("v1", None, **{path: "a" * size for path, size in sizes.items()}, same="1")
    record("v2", "v1", **{path: "b" * size for path, size in sizes.items()}, same="1", new="1")
    # The smallest one would need forever, the next one is quick: the last one gets what they leave.
    tensors.takes = {"model/third.npy": 1e9, "model/second.npy": 1.0}
    report = compare(world.services, configured(), "v1", "v2", seconds=60)
    assert tensors.asked == [("model/third.npy", 20.0), ("model/second.npy", 20.0), ("model/first.npy", 39.0)]
    assert report.tensors == ()


def test_a_symlink_to_a_model_file_has_no_tensors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    manifests: dict[str, Manifest] = {}
    monkeypatch.setattr(world.supply, "manifests", manifests)
    world.services.ledger.app_number(APP)
    for name, target in (("v1", "a.npy"), ("v2", "b.npy")):
        manifest = Manifest.of([File.link("model/w.npy", target)], {})
        manifests[manifest.digest] = manifest
        one = replace(version(name), manifest=manifest.digest, settings=configured().snapshot())
        world.services.ledger.record_version(one)
    tensors = FakeTensors()
    monkeypatch.setattr(world.services, "tensors", tensors)
    assert [row.path for row in compare(world.services, configured(), "v1", "v2").files] == ["model/w.npy"]
    assert tensors.asked == []


def test_what_was_not_compared_is_in_the_report(
    world: World, record: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = FakeTensors()
    monkeypatch.setattr(world.services, "tensors", tensors)
    record("v1", None, **{"w.npy": "a", "v.npy": "a"})
    record("v2", "v1", **{"w.npy": "b", "v.npy": "b"})
    change = TensorChange("w", "added", None, (1,), None, "float32", None)
    tensors.difference = TensorDifference((change,), "3 of 4 tensors: the time limit was reached", "time")
    report = compare(world.services, configured(), "v1", "v2")
    assert conforms(document(report), report_schema("diff")) == []
    assert [(row.path, row.tensors, row.limit) for row in report.tensors] == [
        ("model/v.npy", (change,), "time"),
        ("model/w.npy", (change,), "time"),
    ]
    assert "  not compared: 3 of 4 tensors: the time limit was reached\n" in render_diff(report)
    assert "model/w.npy" in {row.path for row in report.files}


def test_a_version_without_a_manifest_cannot_be_compared(world: World, record: Callable[..., None]) -> None:
    world.services.ledger.record_version(version("v1"))
    with pytest.raises(UsageError, match="the manifest of v1 is missing"):
        manifest_of(world.services, version_of(world.services, APP, "v1"))
    assert show(world.services, APP, "v1").files is None


def test_the_tree_counts_what_each_version_changed(world: World, record: Callable[..., None]) -> None:
    record("v1", None, a="1", b="1")
    record("v2", "v1", a="2")
    row = lineage(world.services, APP).versions[0]
    assert (row.delta.changed, row.delta.removed) == (2, 0)
    assert (row.children[0].delta.changed, row.children[0].delta.removed) == (1, 1)
