"""The record of versions, in real SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.version.build import Layer
from orchestrator.domain.version.manifest import Delta, File
from orchestrator.errors import UsageError
from tests.unit.builders import APP, version

ONE = File("context/a", "file", "0644", 3, "1" * 64)
TWO = File("context/b", "file", "0755", 5, "2" * 64)
LINK = File.link("model/c", "../b")


def test_a_version_comes_back_as_it_was(ledger: SqliteLedger) -> None:
    first = version("v1", live=False, git_commit="abc", git_dirty=True, settings={"run": {"replicas": 1}})
    second = version("v2", "v1", live=False)
    ledger.record_version(first)
    ledger.record_version(second)
    versions = ledger.versions(APP)
    assert list(versions) == ["v1", "v2"]
    assert versions == {"v1": first, "v2": second}
    assert versions["v1"].settings == {"run": {"replicas": 1}}
    assert versions["v1"].git_dirty is True
    assert versions["v2"].git_dirty is None
    assert ledger.versions("other") == {}
    assert ledger.parents(APP) == {"v1": None, "v2": "v1"}


def test_a_row_becomes_a_version_only_when_it_is_asked_for(ledger: SqliteLedger) -> None:
    for number in range(1, 4):
        ledger.record_version(version(f"v{number}", live=False))
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("UPDATE versions SET settings = 'no JSON' WHERE name = 'v1'")
    versions = ledger.versions(APP)
    assert versions["v3"] == version("v3", live=False)
    assert "v1" in versions
    assert "v4" not in versions
    assert versions.get("v4") is None
    assert (len(versions), list(versions)) == (3, ["v1", "v2", "v3"])
    with pytest.raises(json.JSONDecodeError):
        assert versions["v1"]


@pytest.mark.parametrize("damage", ["settings = 'no JSON'", "author = X'FF'", "author = CAST(X'FF41' AS TEXT)"])
def test_a_damaged_version_is_left_out_of_the_readable_ones(ledger: SqliteLedger, damage: str) -> None:
    for number in range(1, 4):
        ledger.record_version(version(f"v{number}", live=False))
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute(f"UPDATE versions SET {damage} WHERE name = 'v2'")
    assert ledger.readable_versions(APP) == {name: version(name, live=False) for name in ("v1", "v3")}


def test_versions_stay_as_they_were_read(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", live=False))
    versions = ledger.versions(APP)
    ledger.mark_live(APP, "v1", stable=False)
    assert versions["v1"].live_at is None
    assert ledger.versions(APP)["v1"].live_at


def test_a_record_that_is_replaced_keeps_its_place(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", live=False))
    ledger.record_version(version("v2", live=False))
    ledger.record_version(version("v1", live=False, image_id="sha256:new"))
    assert ledger.versions(APP)["v1"].image_id == "sha256:new"
    assert list(ledger.versions(APP)) == list(ledger.readable_versions(APP)) == ["v1", "v2"]


def test_the_first_time_it_was_live_is_kept(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", live=False))
    ledger.mark_live(APP, "v1", stable=False)
    once = ledger.versions(APP)["v1"]
    assert once.live_at
    assert once.stable_at is None
    ledger.mark_live(APP, "v1", stable=True)
    twice = ledger.versions(APP)["v1"]
    assert twice.live_at == once.live_at
    assert twice.stable_at
    ledger.mark_live(APP, "v1", stable=False)
    assert ledger.versions(APP)["v1"] == twice


def test_a_version_is_marked_stable_once(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", live=False))
    ledger.mark_live(APP, "v1", stable=False)
    ledger.mark_stable(APP, "v1")
    once = ledger.versions(APP)["v1"]
    assert once.stable_at
    events = ledger.head()
    ledger.mark_stable(APP, "v1")
    assert ledger.versions(APP)["v1"] == once
    assert ledger.head() == events, "nothing changed"


def test_a_bad_version_is_not_stable_until_it_is_live_again(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1"))
    ledger.mark_bad(APP, "v1", "it is slow")
    bad = ledger.versions(APP)["v1"]
    assert bad.bad_at
    assert (bad.bad_why, bad.stable_at) == ("it is slow", None)
    ledger.mark_live(APP, "v1", stable=False)
    live = ledger.versions(APP)["v1"]
    assert (live.bad_at, live.bad_why, live.stable_at) == (None, "", None)


def test_a_pruned_version_that_is_live_again_is_not_pruned(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1"))
    ledger.mark_pruned(APP, "v1")
    assert ledger.versions(APP)["v1"].pruned_at
    ledger.mark_live(APP, "v1", stable=True)
    assert ledger.versions(APP)["v1"].pruned_at is None


def test_a_mark_on_an_unknown_version_records_nothing(ledger: SqliteLedger) -> None:
    ledger.mark_live(APP, "v9", stable=True)
    assert (ledger.versions(APP), ledger.head()) == ({}, 0)


def test_settings(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", settings={"a": 1}))
    assert ledger.settings(APP, "v1") == {"a": 1}
    ledger.record_settings(APP, "v1", {"a": 2})
    assert ledger.settings(APP, "v1") == {"a": 2}
    with pytest.raises(UsageError, match="the ledger has no version v9 of mymodel") as caught:
        ledger.settings(APP, "v9")
    assert "deployctl tree" in caught.value.hint


def test_layers_come_back_in_their_order(ledger: SqliteLedger, opened: Callable[[], SqliteLedger]) -> None:
    ledger.record_version(version("v1"))
    assert ledger.layers(APP, "v1") is None
    ledger.record_layers(APP, "v1", [Layer("sha256:base", 7), Layer("sha256:app", 0)])
    assert opened().layers(APP, "v1") == [Layer("sha256:base", 7), Layer("sha256:app", 0)]
    ledger.record_layers(APP, "v1", [])
    assert ledger.layers(APP, "v1") == []


def test_changes_by_version_and_by_path(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1"), Delta((), (TWO, LINK), {"dockerfile": "Dockerfile"}))
    ledger.record_version(version("v2", "v1"), Delta((LINK.path,), (ONE,)))
    assert [(row.path, row.kind, row.size) for row in ledger.changes(APP, version="v2")] == [
        (ONE.path, "file", 3),
        (LINK.path, None, None),
    ]
    assert [(row.version, row.target) for row in ledger.changes(APP, path=LINK.path)] == [("v1", "../b"), ("v2", None)]
    assert ledger.paths(APP) == [ONE.path, TWO.path, LINK.path]
    assert ledger.change_counts(APP) == {"v1": (2, 0), "v2": (1, 1)}
    assert ledger.delta(APP, "v1") == Delta((), (TWO, LINK), {"dockerfile": "Dockerfile"})
    assert ledger.delta(APP, "v2") == Delta((LINK.path,), (ONE,))
    ledger.record_version(version("v2", "v1"))
    assert ledger.delta(APP, "v2") == Delta((LINK.path,), (ONE,)), "without a change the recorded one stays"
    ledger.record_version(version("v2", "v1"), Delta())
    assert ledger.delta(APP, "v2") == Delta()


def test_a_damaged_delta_is_an_error(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1"), Delta((), (ONE,), {"dockerfile": "Dockerfile"}))
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("UPDATE builds SET facts = 'no JSON'")
    with pytest.raises(ValueError, match="Expecting value"):
        ledger.delta(APP, "v1")
