"""The record of apps, slots and traffic, in real SQLite."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.sqlite import placement
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.engine import Engine
from orchestrator.domain.traffic.maintenance import Maintenance, MaintenanceRecord
from orchestrator.domain.traffic.route import Route
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import LedgerDamaged, StorageError
from tests.unit.adapters.sqlite.helpers import BLUE, GREEN, SINCE, slot
from tests.unit.builders import APP, backend, proxy_app

LATER = "2031-01-01T01:00:00.000Z"
CANARY = TrafficState(live="blue", candidate="green", share=500, shield=True, preview=True, held=True)


def states(ledger: SqliteLedger) -> dict[str, tuple[str, str, str | None]]:
    return {name: (each.version, each.state, each.warm_until) for name, each in ledger.slots(APP).items()}


def test_one_engine_is_recorded(ledger: SqliteLedger, opened: Callable[[], SqliteLedger]) -> None:
    assert ledger.engine() is None
    one, two = Engine("id 1", "here", "unix:///one"), Engine("id 2", "there", "unix:///two")
    for engine in (one, one, two):
        ledger.record_engine(engine)
        assert opened().engine() == engine


# --- apps --------------------------------------------------------------------------------------------------------


def test_a_number_is_given_once(ledger: SqliteLedger, opened: Callable[[], SqliteLedger]) -> None:
    assert ledger.app_number(APP) == 1
    assert opened().app_number("other") == 2
    assert ledger.app_number(APP) == 1
    assert ledger.apps() == [APP, "other"]


def test_the_next_number_is_known_before_it_is_given(ledger: SqliteLedger, opened: Callable[[], SqliteLedger]) -> None:
    assert ledger.next_app_number(APP) == 1
    for app in ("second", "third"):
        number = opened().next_app_number(app)
        assert app not in ledger.apps()
        assert ledger.app_number(app) == number
    assert [ledger.next_app_number(app) for app in (APP, "second", "third", "fourth")] == [1, 2, 3, 4]


def test_processes_that_ask_at_the_same_time_get_one_number(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from orchestrator.adapters.sqlite.ledger import SqliteLedger\n"
        "ledger = SqliteLedger(Path(sys.argv[1]), now=lambda: 'now')\n"
        "ledger.apps()\nprint('open', flush=True)\nsys.stdin.readline()\n"
        "print([ledger.app_number(f'app{n}') for n in range(20)])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "ledger.db")]
    racers = [
        subprocess.Popen(command, cwd=Path(__file__).parents[4], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"open\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.flush()
    answers = [json.loads(racer.communicate()[0]) for racer in racers]
    assert answers[0] == answers[1]
    assert sorted(answers[0]) == list(range(1, 21))


def test_what_the_proxy_knows(ledger: SqliteLedger) -> None:
    assert ledger.proxy_apps() == []
    assert ledger.proxy_app(APP) is None
    route = Route("127.0.0.1:8000", ("a.example.com",), "/p", False, 60.0)
    app = proxy_app(
        APP, route, backend("v1", "10.213.0.64", body="ok", statuses=(200, 204)), backend("v2", active=False)
    )
    ledger.save_proxy_app(app)
    assert ledger.proxy_apps() == [app]
    assert ledger.proxy_app(APP) == app
    ledger.remove_proxy_app(APP)
    assert ledger.proxy_apps() == []


def test_an_app_that_leaves_the_proxy_gets_no_requests(ledger: SqliteLedger) -> None:
    ledger.app_number("other")
    for app in (APP, "other"):
        ledger.save_proxy_app(proxy_app(app, Route("127.0.0.1:8000"), backend("v1"), backend("v2")))
    assert ledger.traffic_states() == {APP: TrafficState(), "other": TrafficState()}
    ledger.go_live(slot("blue", "v1"), BLUE)
    assert ledger.traffic_states() == {APP: BLUE, "other": TrafficState()}
    ledger.remove_proxy_app(APP)
    assert ledger.traffic(APP) == TrafficState()
    assert ledger.traffic_states() == {"other": TrafficState()}
    assert states(ledger) == {"blue": ("v1", "ready", None)}, "what runs there is still there"
    assert ledger.audit()[1] == []


# --- slots -------------------------------------------------------------------------------------------------------


def test_a_slot_comes_back_as_it_was(ledger: SqliteLedger) -> None:
    one = slot("blue", "v1", 3, "ready", warm_until=LATER, bake_until=LATER)
    ledger.set_slot(one)
    assert ledger.slots(APP) == {"blue": one}
    assert ledger.slots("other") == {}


def test_since_stays_while_version_deployment_and_state_do(ledger: SqliteLedger) -> None:
    ledger.set_slot(slot("blue", "v1"))
    ledger.set_slot(slot("blue", "v1", since=LATER, bake_until=LATER))
    assert ledger.slots(APP)["blue"] == slot("blue", "v1", bake_until=LATER)
    for other in (slot("blue", "v1", state="warm"), slot("blue", "v1", 2, "warm"), slot("blue", "v2", 2, "warm")):
        before = ledger.slots(APP)["blue"].since
        changed = replace(other, since=before + "x")
        ledger.set_slot(changed)
        assert ledger.slots(APP)["blue"] == changed


def test_a_slot_is_cleared(ledger: SqliteLedger) -> None:
    ledger.set_slot(slot("blue", "v1"))
    for _ in range(2):
        ledger.clear_slot(APP, "blue")
        ledger.clear_slot(APP, "green")
    assert ledger.slots(APP) == {}


# --- traffic -----------------------------------------------------------------------------------------------------


def test_nobody_gets_requests_before_that_is_recorded(ledger: SqliteLedger) -> None:
    assert ledger.traffic(APP) == ledger.traffic("other") == TrafficState()
    assert ledger.traffic_states() == {}


def test_traffic_comes_back_as_it_was(ledger: SqliteLedger, opened: Callable[[], SqliteLedger]) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    ledger.set_traffic(APP, CANARY)
    assert opened().traffic(APP) == CANARY
    ledger.set_traffic(APP, BLUE)
    assert opened().traffic(APP) == BLUE


CLOSED = MaintenanceRecord(Maintenance("back at 10", 60, 2.5), SINCE, "somebody")


def test_a_maintenance_comes_back_as_it_was_with_its_event(
    ledger: SqliteLedger, opened: Callable[[], SqliteLedger]
) -> None:
    with pytest.raises(ValueError, match="mymodel has no live version"):
        ledger.set_maintenance(APP, CLOSED, {"what": "began"})
    assert ledger.maintenance(APP) is None
    ledger.go_live(slot("blue", "v1"), BLUE)
    ledger.save_proxy_app(proxy_app(APP, Route("127.0.0.1:8000"), backend("v1"), backend("v2")))
    for record in (CLOSED, replace(CLOSED, maintenance=Maintenance("other")), None):
        ledger.set_maintenance(APP, record, {"what": f"now {record}"})
        assert opened().maintenance(APP) == record
        state = replace(BLUE, maintenance=record.maintenance if record else None)
        assert opened().traffic(APP) == state
        assert opened().traffic_states() == {APP: state}
        (event,) = ledger.newest_events(APP, 1)
        assert (event.kind, json.loads(event.detail)) == ("maintenance", {"what": f"now {record}"})
    assert ledger.audit()[1] == []


def test_only_set_maintenance_changes_a_maintenance(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1"), replace(BLUE, maintenance=CLOSED.maintenance))
    assert ledger.maintenance(APP) is None
    ledger.set_maintenance(APP, CLOSED, {})
    ledger.set_traffic(APP, CANARY)
    ledger.go_live(slot("green", "v2", 2), GREEN)
    ledger.set_traffic(APP, replace(GREEN, maintenance=Maintenance("other")))
    assert ledger.maintenance(APP) == CLOSED
    assert ledger.traffic(APP) == replace(GREEN, maintenance=CLOSED.maintenance)
    ledger.set_traffic(APP, TrafficState())
    assert ledger.maintenance(APP) is None
    ledger.go_live(slot("blue", "v1"), BLUE)
    assert ledger.traffic(APP) == BLUE


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"maintenance": {"message": 1, "x": 2}, "since": "", "by": ""}'])
def test_a_damaged_maintenance_is_noticed(ledger: SqliteLedger, text: str) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("UPDATE traffic SET maintenance = ?", (text,))
    for read in (ledger.maintenance, ledger.traffic):
        with pytest.raises(LedgerDamaged, match="the maintenance of mymodel"):
            read(APP)


def test_a_candidate_may_be_previewed_before_anything_is_live(ledger: SqliteLedger) -> None:
    state = TrafficState(candidate="blue", preview=True)
    ledger.set_traffic(APP, state)
    assert ledger.traffic(APP) == state
    assert ledger.switches(APP) == []


def test_only_go_live_makes_a_slot_live(ledger: SqliteLedger) -> None:
    with pytest.raises(ValueError, match="blue of mymodel becomes live by go_live"):
        ledger.set_traffic(APP, BLUE)
    ledger.go_live(slot("blue", "v1"), BLUE)
    with pytest.raises(ValueError, match="green of mymodel becomes live by go_live"):
        ledger.set_traffic(APP, GREEN)
    assert ledger.traffic(APP) == BLUE
    ledger.set_traffic(APP, TrafficState())
    assert ledger.traffic(APP) == TrafficState()


@pytest.mark.parametrize(("state", "traffic"), [("starting", BLUE), ("warm", BLUE), ("ready", GREEN)])
def test_only_a_ready_slot_goes_live_and_it_is_the_live_one(
    ledger: SqliteLedger, state: str, traffic: TrafficState
) -> None:
    why = f"blue of mymodel is {state}, and the live slot of the traffic is {traffic.live}"
    with pytest.raises(ValueError, match=why):
        ledger.go_live(slot("blue", "v1", state=state), traffic)
    assert (ledger.slots(APP), ledger.traffic(APP)) == ({}, TrafficState())


def test_a_slot_that_loses_its_share_is_warm(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    ledger.set_slot(slot("green", "v2", 2, "starting"))
    assert states(ledger) == {"blue": ("v1", "ready", None), "green": ("v2", "starting", None)}
    ledger.go_live(slot("green", "v2", 2), GREEN)
    assert states(ledger) == {"blue": ("v1", "warm", None), "green": ("v2", "ready", None)}
    assert ledger.traffic(APP) == GREEN
    ledger.set_slot(slot("blue", "v1", state="warm", warm_until=LATER))
    assert states(ledger)["blue"] == ("v1", "warm", LATER)
    ledger.go_live(slot("blue", "v1"), BLUE)
    assert states(ledger) == {"blue": ("v1", "ready", None), "green": ("v2", "warm", None)}


def test_a_slot_that_keeps_a_share_stays_ready(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    traffic = TrafficState(live="green", candidate="blue", share=1_000)
    ledger.go_live(slot("green", "v2", 2), traffic)
    assert states(ledger) == {"blue": ("v1", "ready", None), "green": ("v2", "ready", None)}
    assert ledger.traffic(APP) == traffic


@pytest.mark.parametrize("state", ["starting", "cold"])
def test_a_slot_that_was_not_ready_stays_as_it_is(ledger: SqliteLedger, state: str) -> None:
    ledger.set_slot(slot("blue", "v1", state=state))
    ledger.go_live(slot("green", "v2", 2), GREEN)
    assert states(ledger)["blue"] == ("v1", state, None)


def test_other_apps_keep_their_slots_and_traffic(ledger: SqliteLedger) -> None:
    ledger.app_number("other")
    ledger.go_live(slot("blue", "v1", app="other"), BLUE)
    ledger.go_live(slot("green", "v1", 2), GREEN)
    assert ledger.slots("other")["blue"].state == "ready"
    assert ledger.traffic("other") == BLUE


def test_a_candidate_that_goes_live_is_live_from_then_on(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    ledger.set_slot(slot("green", "v2", 2))
    ledger.set_traffic(APP, CANARY)
    ledger.go_live(slot("green", "v2", 2, since=LATER), GREEN)
    assert ledger.slots(APP)["green"].since == LATER
    ledger.go_live(slot("green", "v2", 2, since="2032", bake_until="2033"), replace(GREEN, shield=True))
    assert ledger.slots(APP)["green"] == slot("green", "v2", 2, since=LATER, bake_until="2033")
    assert ledger.traffic(APP) == replace(GREEN, shield=True)
    assert [(each.version, each.since) for each in ledger.switches(APP)] == [("v1", SINCE), ("v2", LATER)]


@pytest.mark.parametrize("fails", ["write_slot", "write_traffic", "went_live"])
def test_going_live_is_recorded_completely_or_not_at_all(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    ledger.set_slot(slot("green", "v2", 2, "starting"))
    before = (ledger.slots(APP), ledger.traffic(APP), ledger.audit())
    real = getattr(placement, fails)

    def failing(*arguments: object, **named: object) -> None:
        real(*arguments, **named)
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(placement, fails, failing)
        with pytest.raises(StorageError, match="database or disk is full"):
            ledger.go_live(slot("green", "v2", 2), GREEN)
    assert (ledger.slots(APP), ledger.traffic(APP), ledger.audit()) == before
    ledger.go_live(slot("green", "v2", 2), GREEN)
    assert ledger.traffic(APP) == GREEN


@pytest.mark.parametrize("damage", ["share = 20000", "share = 'x'", "candidate = live", "live = NULL, shield = 1"])
def test_damaged_traffic_is_named(ledger: SqliteLedger, damage: str) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    ledger.save_proxy_app(proxy_app(APP, Route("127.0.0.1:8000"), backend("v1"), backend("v2")))
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute(f"UPDATE traffic SET {damage}")
    with pytest.raises(LedgerDamaged, match="the traffic of mymodel: "):
        ledger.traffic(APP)
    with pytest.raises(LedgerDamaged, match="the traffic of mymodel: "):
        ledger.traffic_states()
