"""The chain of events in real SQLite: every change of an event or of a sealed row is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.build import Layer
from orchestrator.errors import Degraded
from tests.unit.adapters.sqlite.helpers import BLUE, GREEN, begin, slot
from tests.unit.builders import APP, version


def a_history(ledger: SqliteLedger) -> None:
    """Two versions, a release, a rollback target, one pruned, one bad."""
    for name in ("v1", "v2"):
        ledger.record_version(version(name))
    number = begin(ledger)
    step = ledger.step_started(number, "switch", {"slot": "green", "version": "v2"}, undo=False)
    ledger.go_live(slot("green", "v2", number, bake_until="2031-01-01T01:00:00.000Z"), GREEN)
    ledger.step_finished(step, "done", {}, 0.5)
    ledger.mark_bad(APP, "v2", "slow")
    ledger.mark_live(APP, "v2", stable=False)
    ledger.mark_stable(APP, "v2")
    ledger.record_settings(APP, "v2", {"a": 1})
    ledger.record_layers(APP, "v2", [Layer("sha256:base", 7)])
    ledger.mark_pruned(APP, "v1")
    ledger.finish(number, "succeeded", "")
    ledger.event(APP, "healed", {"what": "something"})


def changed(ledger: SqliteLedger, statement: str) -> None:
    with closing(sqlite3.connect(ledger.path)) as db, db:
        assert db.execute(statement).rowcount > 0


def test_every_change_of_the_history_is_sealed(ledger: SqliteLedger) -> None:
    a_history(ledger)
    events, differences = ledger.audit()
    assert differences == []
    kinds = [(event.kind, event.app) for event in events]
    assert kinds.count(("version", APP)) == 7
    assert kinds.count(("deployment", APP)) == 2
    assert kinds.count(("live", APP)) == 1
    assert kinds.count(("image", APP)) == 1
    assert ledger.head() == events[-1].id == len(events)


def test_the_newest_events_of_an_app_are_read_page_by_page(ledger: SqliteLedger) -> None:
    a_history(ledger)
    ledger.event("other", "healed", {})
    everything = ledger.newest_events(APP, 100)
    assert [event.kind for event in everything][:2] == ["healed", "deployment"]
    assert {event.app for event in everything} == {APP}
    pages, before = [], None
    while page := ledger.newest_events(APP, 3, before=before):
        pages += page
        before = page[-1].id
    assert pages == everything


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        ("UPDATE versions SET author = 'x' WHERE name = 'v2'", "the record of mymodel v2"),
        ("UPDATE versions SET manifest = 'x' WHERE name = 'v1'", "the record of mymodel v1"),
        ("UPDATE versions SET stable_at = NULL WHERE name = 'v2'", "the record of mymodel v2"),
        ("UPDATE versions SET author = CAST(X'FF41' AS TEXT) WHERE name = 'v2'", "the record of mymodel v2"),
        ("DELETE FROM versions WHERE name = 'v1'", "version v1 of mymodel was recorded, but is missing"),
        ("UPDATE images SET layers = '[]'", "the layers of the image of mymodel v2 are not what was recorded"),
        ("DELETE FROM images", "image v2 of mymodel was recorded, but is missing"),
        ("UPDATE deployments SET actor = 'x'", "the record of deployment 1"),
        ("UPDATE deployments SET before = '{}'", "the record of deployment 1"),
        ("UPDATE deployments SET outcome = 'failed'", "the record of deployment 1"),
        ("UPDATE steps SET started_at = 'x'", "the journal of deployment 1"),
        ("DELETE FROM steps", "the journal of deployment 1"),
        ("UPDATE slots SET version = 'v1'", "the slots say that v1 of mymodel is live in green by deployment 1"),
        ("UPDATE slots SET deployment = 9", "the slots say that v2 of mymodel is live in green by deployment 9"),
        ("UPDATE slots SET slot = 'blue'", "the slots say that nothing is in green of mymodel, which is live: v2 went"),
        (
            "UPDATE traffic SET live = 'blue'",
            "the slots say that nothing is in blue of mymodel, which is live: v2 went",
        ),
        ("UPDATE events SET at = 'x' WHERE kind = 'live'", "(live) is not what was recorded"),
        ("UPDATE events SET detail = replace(detail, 'green', 'blue') WHERE kind = 'live'", "(live) is not what was"),
        ("UPDATE events SET detail = 'x' WHERE kind = 'version'", "(version) is not what was recorded"),
        ("UPDATE events SET kind = 'x' WHERE kind = 'live'", "which is not what was recorded: no version went live"),
        ("DELETE FROM events WHERE kind = 'live'", "does not follow the event before it"),
    ],
)
def test_any_manipulation_is_named(ledger: SqliteLedger, tamper: str, named: str) -> None:
    a_history(ledger)
    ledger.close()
    changed(ledger, tamper)
    assert named in "\n".join(ledger.audit()[1])


def test_a_version_that_goes_live_is_recorded_once_for_each_change(ledger: SqliteLedger) -> None:
    since = "2031-01-01T00:00:00.000Z"
    ledger.go_live(slot("blue", "v1", 1, since=since), BLUE)
    ledger.go_live(slot("blue", "v1", 1, since="2032"), BLUE)
    ledger.set_traffic(APP, TrafficState(live="blue", candidate="green", share=100))
    ledger.go_live(slot("green", "v2", 2, since="2030-05-05T00:00:00.000Z"), GREEN)
    ledger.go_live(slot("green", "v2", 3, since="2033"), GREEN)
    ledger.go_live(slot("blue", "v1", 1, since="2034"), BLUE)
    assert [(each.version, each.slot, each.deployment, each.since) for each in ledger.switches(APP)] == [
        ("v1", "blue", 1, since),
        ("v2", "green", 2, "2030-05-05T00:00:00.000Z"),
        ("v2", "green", 3, "2033"),
        ("v1", "blue", 1, "2034"),
    ]
    assert ledger.audit()[1] == []


def test_a_version_that_is_live_again_is_recorded_again(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1", since="2031"), BLUE)
    ledger.remove_proxy_app(APP)
    ledger.go_live(slot("blue", "v1", since="2032"), BLUE)
    assert [each.since for each in ledger.switches(APP)] == ["2031", "2032"]
    assert ledger.slots(APP)["blue"].since == "2032"


def test_the_record_of_going_live_follows_the_events_not_the_slot(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1", 1), BLUE)
    ledger.set_slot(slot("blue", "v1", 2))
    assert "by deployment 2, which is not what was recorded: v1 went live last" in "\n".join(ledger.audit()[1])
    ledger.go_live(slot("blue", "v1", 2), BLUE)
    assert ledger.audit()[1] == []


def test_a_damaged_event_hides_who_was_live(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    changed(ledger, "UPDATE events SET detail = '{}' WHERE kind = 'live'")
    with pytest.raises(Degraded, match="event 1 of the ledger is damaged") as caught:
        ledger.switches(APP)
    assert "deployctl verify" in caught.value.hint
    ledger.go_live(slot("blue", "v1"), BLUE)
    assert len(ledger.audit()[0]) == 2, "what the damaged event does not say is recorded again"


def test_events_of_several_processes_are_one_chain(opened: Callable[[], SqliteLedger]) -> None:
    one, two = opened(), opened()
    assert one.head() == 0
    for number in range(3):
        one.event(APP, "healed", {"number": number})
        two.event("other", "noticed", {"number": number})
    events, differences = one.audit()
    assert [event.app for event in events] == [APP, "other"] * 3
    assert differences == []
    assert one.head() == two.head() == 6


def test_an_audit_reads_snapshot(ledger: SqliteLedger, opened: Callable[[], SqliteLedger]) -> None:
    a_history(ledger)
    other = opened()
    before = ledger.head()
    with ledger._snapshot() as db:
        assert db.execute("SELECT COUNT(*) FROM events").fetchone()[0] == before
        other.mark_bad(APP, "v2", "slow")
        assert db.execute("SELECT COUNT(*) FROM events").fetchone()[0] == before
        assert db.execute("SELECT bad_at FROM versions WHERE name = 'v2'").fetchone()[0] is None
    assert ledger.head() == before + 1
