"""Moments, settings as they are shown, and the history of files: what is told of the past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config import Config, parse
from orchestrator.domain.moments import moment
from orchestrator.domain.version import settings
from orchestrator.domain.version.manifest import EMPTY, File, Manifest, delta
from orchestrator.errors import UsageError
from orchestrator.reports.catalog import report_schema
from orchestrator.reports.diff import compare, manifest_of, version_of
from orchestrator.reports.file_log import file_log
from orchestrator.reports.serialize import document
from orchestrator.reports.versions import lineage, show
from orchestrator.reports.who_was_live import live_periods, who_was_live
from tests.unit.builders import APP, version
from tests.unit.fakes import World
from tests.unit.reports.conforming import conforms

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-11-20 14:05", "2026-11-20T14:05:00+00:00"),
        ("2026-11-20T14:05:06.789Z", "2026-11-20T14:05:06.789000+00:00"),
        ("2026-11-20T14:05+01:00", "2026-11-20T13:05:00+00:00"),
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
        ("06:30", "2031-05-06T06:30:00+00:00"),
        (" 06:30:15 ", "2031-05-06T06:30:15+00:00"),
    ],
)
def test_moments_as_people_write_them(text: str, means: str) -> None:
    assert moment(text, NOW) == datetime.fromisoformat(means)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "25:00", "0001-01-01T00:00+23:59", "-1"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        moment(text, NOW)


def test_a_moment_to_come_is_refused() -> None:
    with pytest.raises(UsageError, match="still to come") as caught:
        moment("2031-05-06 07:08:10", NOW)
    assert caught.value.why == "it is 2031-05-06 07:08:09 UTC"


@given(st.text(max_size=20))
def test_any_text_is_a_moment_or_an_error(text: str) -> None:
    try:
        assert moment(text, NOW) <= NOW
    except UsageError as error:
        assert error.exit_code == 2


# --- settings ----------------------------------------------------------------------------------------------------


def configured(more: str = "") -> Config:
    return parse(f'[app]\nname = "{APP}"\nport = 8080\n{more}', file="deploy.toml", base=Path("/nowhere"))


def test_only_names_of_what_may_be_secret_are_shown() -> None:
    one = configured('[run]\nenv = { KEY = "hunter2" }\n[build]\nargs = { TOKEN = "s3cret" }').snapshot()
    two = configured('[run]\nreplicas = 2\nenv = { KEY = "hunter3", MORE = "x9x9" }').snapshot()
    told = settings.changes(one, two)
    assert told == [
        {"key": "build.args.TOKEN", "before": "(hidden)", "after": None},
        {"key": "environment.KEY", "before": "(hidden)", "after": "(hidden)"},
        {"key": "environment.MORE", "before": None, "after": "(hidden)"},
        {"key": "run.replicas", "before": 1, "after": 2},
    ]
    for text in ("hunter", "s3cret", "x9x9"):
        assert text not in str((told, settings.shown(one), settings.shown(two)))
    assert settings.changes(one, one) == []


def test_of_the_digest_of_the_build_arguments_it_is_only_told_that_it_differs() -> None:
    one, two = ({"dockerfile": name, "args": file("", name).digest} for name in ("a", "b"))
    assert settings.changes(one, two) == [
        {"key": "args", "before": "(hidden)", "after": "(hidden)"},
        {"key": "dockerfile", "before": "a", "after": "b"},
    ]
    assert settings.changes(one, one) == []


# --- a history in a ledger ---------------------------------------------------------------------------------------


def file(path: str, text: str) -> File:
    return File(path, "file", "0644", len(text), text.encode().hex().ljust(64, "0"))


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


@pytest.fixture
def told(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Records a version with these files; its parent is the one before it, unless another is named."""
    manifests: dict[str, Manifest] = {}
    monkeypatch.setattr(world.artifacts, "known", manifests.get)
    monkeypatch.setattr(world.artifacts, "tensors", lambda before, after: ((), None), raising=False)
    monkeypatch.setattr(world.artifacts, "commits", lambda folder, before, after: None, raising=False)
    made: dict[str, Manifest] = {}
    ledger = world.services.ledger
    ledger.app_block(APP, 10)

    def tell(name: str, parent: str | None, **files: str) -> None:
        manifest = Manifest.of([file(f"model/{path}", text) for path, text in files.items()], {})
        manifests[manifest.digest] = made[name] = manifest
        one = replace(version(name), parent=parent, manifest=manifest.digest, settings=configured().snapshot())
        ledger.record_version(one, delta(made.get(parent or "", EMPTY), manifest))

    return tell


def test_the_log_of_a_file_follows_the_lineage(world: World, told: Callable[..., None]) -> None:
    told("v1", None, a="1", b="1")
    told("v2", "v1", b="1")
    told("v3", "v1", a="1", b="2")
    told("v4", "v2", a="4", b="1")
    told("v5", "v3", a="5")
    found = file_log(world.services, configured(), "a", 50)
    assert conforms(document(found), report_schema("log")) == []
    assert found.file == "model/a"
    assert [(row.version, row.change, row.size) for row in found.entries] == [
        ("v5", "changed", 1),
        ("v4", "added", 1),
        ("v2", "removed", None),
        ("v1", "added", 1),
    ]
    short = file_log(world.services, configured(), "model/a", 1)
    assert (len(short.entries), short.older) == (1, 3)


def test_an_unknown_file_is_told_with_those_near_it(world: World, told: Callable[..., None]) -> None:
    told("v1", None, weights="1")
    with pytest.raises(UsageError, match="no version of mymodel has a file 'model/wieghts'") as caught:
        file_log(world.services, configured(), "model/wieghts", 50)
    assert caught.value.why == "similar names: model/weights"


def test_who_was_live_is_told_to_the_millisecond(world: World, told: Callable[..., None]) -> None:
    told("v1", None, a="1")
    told("v2", "v1", a="2")
    for slot, name, since in (("blue", "v1", "2031-01-01T00:00:00.000Z"), ("green", "v2", "2031-01-02T00:00:00.000Z")):
        world.services.ledger.set_slot(APP, slot, name, 1, "live", since=since)  # type: ignore[arg-type]

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


def test_a_comparison_says_what_is_really_new(world: World, told: Callable[..., None]) -> None:
    told("v1", None, a="same", b="old", c="moved")
    told("v2", "v1", a="same", b="newer", d="moved")
    found = compare(world.services, configured(), "v1", "v2")
    assert conforms(document(found), report_schema("diff")) == []
    assert [(row.path, row.change) for row in found.files] == [
        ("model/b", "changed"),
        ("model/c", "removed"),
        ("model/d", "added"),
    ]
    assert found.summary.new_bytes == len("newer")
    assert compare(world.services, configured(), "v2", "v2").files == ()
    with pytest.raises(UsageError, match="there is no version v9"):
        version_of(world.services, APP, "v9")


def test_a_version_without_a_manifest_is_told_so(world: World, told: Callable[..., None]) -> None:
    world.services.ledger.record_version(version("v1"))
    with pytest.raises(UsageError, match="the manifest of v1 is missing"):
        manifest_of(world.services, version_of(world.services, APP, "v1"))
    assert show(world.services, APP, "v1").files is None


def test_the_tree_counts_what_each_version_changed(world: World, told: Callable[..., None]) -> None:
    told("v1", None, a="1", b="1")
    told("v2", "v1", a="2")
    row = lineage(world.services, APP).versions[0]
    assert (row.delta.changed, row.delta.removed) == (2, 0)
    assert (row.children[0].delta.changed, row.children[0].delta.removed) == (1, 1)
