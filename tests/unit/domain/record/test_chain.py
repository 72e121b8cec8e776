"""The chain of events: whatever is changed in it, or in what it seals, is found and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.sqlite import schema
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.record import chain
from orchestrator.domain.record.chain import Event, breaks, link, seal
from orchestrator.domain.rollout.plan import Choice
from tests.unit.builders import APP, release_plan, v1_live, version

LINES = st.lists(st.tuples(st.text(max_size=4), st.sampled_from(["live", "pruned"]), st.text(max_size=6)), max_size=6)


def chained(lines: list[tuple[str, str, str]]) -> list[Event]:
    found: list[Event] = []
    for number, (app, kind, detail) in enumerate(lines, 1):
        previous = found[-1].digest if found else chain.BEGINNING
        found.append(Event(number, "t", app, kind, detail, previous, link(previous, number, "t", app, kind, detail)))
    return found


@given(LINES)
def test_a_chain_is_whole(lines: list[tuple[str, str, str]]) -> None:
    assert breaks(chained(lines)) == []


@given(LINES.filter(bool), st.data())
def test_a_change_of_any_field_is_found_where_it_is(lines: list[tuple[str, str, str]], data: st.DataObject) -> None:
    events = chained(lines)
    at = data.draw(st.integers(0, len(events) - 1))
    name = data.draw(st.sampled_from(["at", "app", "kind", "detail", "previous", "digest"]))
    events[at] = replace(events[at], **{name: getattr(events[at], name) + "x"})
    found = breaks(events)
    assert found
    assert found[0].startswith(f"event {events[at].id} ")


@given(LINES.filter(lambda lines: len(lines) > 1), st.data())
def test_one_that_is_taken_out_or_moved_is_missed(lines: list[tuple[str, str, str]], data: st.DataObject) -> None:
    events = chained(lines)
    at = data.draw(st.integers(0, len(events) - 2))
    assert breaks(events[:at] + events[at + 1 :])
    assert breaks([*events[:at], events[at + 1], events[at], *events[at + 2 :]])


def test_a_column_that_is_added_later_changes_no_seal() -> None:
    assert seal({"a": 1, "b": None, "c": ""}) == seal({"a": 1})
    assert seal({"a": 1}) != seal({"a": 2})
    assert seal({"a": 1}) != seal({"b": 1})


# --- in the ledger -----------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    found = SqliteLedger(tmp_path / "ledger.db", now=lambda: "2031-01-01T00:00:00.000Z")
    found.app_block(APP, 10)
    yield found
    found.close()


def a_history(ledger: SqliteLedger) -> None:
    """Two versions, a release, a rollback target, one pruned, one bad."""
    for name in ("v1", "v2"):
        ledger.record_version(version(name))
    one = ledger.begin(release_plan(v1_live(), Choice("v2", "build")), actor="a", command="c", commit=None, config={})
    step = ledger.step_started(one.id, "switch", {"slot": "green", "version": "v2"}, undo=False)
    ledger.set_slot(APP, "green", "v2", one.id, "live", bake_until="2031-01-01T01:00:00.000Z")
    ledger.step_finished(step, "done", {}, 0.5)
    ledger.mark_live(APP, "v2", stable=False)
    ledger.promote(APP)
    ledger.record_settings(APP, "v2", {"a": 1})
    ledger.mark_pruned(APP, "v1")
    ledger.mark_bad(APP, "v1", "slow")
    ledger.finish(one.id, "succeeded", "")
    ledger.event(APP, "mended", {"what": "something"})


def sound(ledger: SqliteLedger) -> list[str]:
    return ledger.audit()[1]


def test_every_change_of_the_history_is_sealed(ledger: SqliteLedger) -> None:
    a_history(ledger)
    assert sound(ledger) == []
    kinds = [(event.kind, event.app) for event in ledger.audit()[0]]
    assert kinds.count(("version", APP)) == 7
    assert kinds.count(("deployment", APP)) == 2
    assert kinds.count(("live", APP)) == 1


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        ("UPDATE versions SET author = 'x' WHERE name = 'v2'", "the record of mymodel v2"),
        ("UPDATE versions SET manifest = 'x' WHERE name = 'v1'", "the record of mymodel v1"),
        ("UPDATE versions SET stable_at = NULL WHERE name = 'v2'", "the record of mymodel v2"),
        ("DELETE FROM versions WHERE name = 'v1'", "version v1 of mymodel was recorded, and is gone"),
        ("UPDATE deployments SET actor = 'x'", "the record of deployment 1"),
        ("UPDATE deployments SET outcome = 'failed'", "the record of deployment 1"),
        ("UPDATE steps SET started_at = 'x'", "the journal of deployment 1"),
        ("DELETE FROM steps", "the journal of deployment 1"),
        ("UPDATE events SET at = 'x' WHERE kind = 'live'", "(live) is not what was recorded"),
        ("UPDATE events SET detail = replace(detail, 'green', 'blue') WHERE kind = 'live'", "(live) is not what was"),
        ("UPDATE events SET detail = 'x' WHERE kind = 'version'", "(version) is not what was recorded"),
        ("DELETE FROM events WHERE kind = 'live'", "is not the one that it followed"),
    ],
)
def test_what_was_tampered_with_is_named(ledger: SqliteLedger, tamper: str, named: str) -> None:
    a_history(ledger)
    ledger.close()
    with closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute(tamper).rowcount > 0
        db.commit()
    assert named in "\n".join(sound(ledger))


def test_an_old_ledger_is_sealed_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as db, monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:3])
        patch.setattr(schema, "SCHEMA_VERSION", 3)
        schema.migrate(db, str(file))
        db.execute("INSERT INTO apps (name, block) VALUES ('m', 1)")
        for name in ("v1", "v2"):
            db.execute(
                "INSERT INTO versions (app, name, image, image_id, manifest, author, created_at, settings)"
                " VALUES ('m', ?, 'i', 'i', 'c', 'a', 't', '{}')",
                (name,),
            )
            number = db.execute(
                "INSERT INTO deployments (app, kind, to_version, to_slot, mode, actor, command, plan, config,"
                " started_at, outcome) VALUES ('m', 'release', ?, 'blue', 'create', 'a', 'c', '[]', '{}', 't',"
                " 'succeeded')",
                (name,),
            ).lastrowid
            db.execute(
                "INSERT INTO steps (deployment, seq, name, args, undo, state, started_at, finished_at)"
                " VALUES (?, 1, 'switch', ?, 0, 'done', 't', ?)",
                (number, f'{{"version": "{name}", "slot": "blue"}}', f"2030-01-0{number}"),
            )
        db.execute("INSERT INTO events (at, app, kind, detail) VALUES ('t', 'm', 'mended', '{}')")
    ledger = SqliteLedger(file, now=lambda: "2031-01-01T00:00:00.000Z")
    try:
        assert sound(ledger) == []
        assert [(each.version, each.since) for each in ledger.switches("m")] == [
            ("v1", "2030-01-01"),
            ("v2", "2030-01-02"),
        ]
        ledger.event("m", "mended", {})
        assert sound(ledger) == []
    finally:
        ledger.close()


def test_who_was_live_is_recorded_once_for_each_change(ledger: SqliteLedger) -> None:
    for slot, name, since in (("blue", "v1", None), ("blue", "v1", None), ("green", "v2", "2030-05-05T00:00:00.000Z")):
        ledger.set_slot(APP, slot, name, 1, "live", since=since)  # type: ignore[arg-type]
    assert [(each.version, each.slot, each.since) for each in ledger.switches(APP)] == [
        ("v1", "blue", "2031-01-01T00:00:00.000Z"),
        ("v2", "green", "2030-05-05T00:00:00.000Z"),
    ]
