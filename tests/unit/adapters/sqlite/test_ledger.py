"""The ledger's file in real SQLite: durability and errors."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.sqlite import ledger as adapter
from orchestrator.adapters.sqlite import schema
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.record.labels import Restored
from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.traffic.route import Route
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import LedgerDamaged, StorageError, UsageError
from tests.unit.adapters.sqlite.helpers import BLUE, GREEN, begin, pragma, slot
from tests.unit.builders import APP, backend, proxy_app, version

ROOT = Path(__file__).parents[4]
PARTS = (
    "events",
    "file",
    "journal",
    "ledger",
    "placement",
    "schema",
    "sealing",
    "versions",
    "watch_records",
)


@pytest.mark.parametrize("name", PARTS)
def test_each_part_of_the_ledger_can_be_loaded_first(name: str) -> None:
    subprocess.run([sys.executable, "-c", f"import orchestrator.adapters.sqlite.{name}"], check=True, cwd=ROOT)


# --- the file ----------------------------------------------------------------------------------------------------


def test_a_commit_is_on_disk(ledger: SqliteLedger) -> None:
    assert pragma(ledger, "journal_mode") == "wal"
    assert pragma(ledger, "synchronous") == 2, "FULL"
    assert pragma(ledger, "foreign_keys") == 1


def test_only_its_owner_can_read_it(ledger: SqliteLedger) -> None:
    # It contains configurations with passwords.
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


def test_a_second_connection_is_as_safe(opened: Callable[[], SqliteLedger]) -> None:
    opened().app_number(APP)
    second = opened()
    assert second.apps() == [APP]
    assert (pragma(second, "journal_mode"), pragma(second, "synchronous")) == ("wal", 2)


def test_nothing_is_opened_before_it_is_used(tmp_path: Path) -> None:
    SqliteLedger(tmp_path / "ledger.db", now=lambda: "").close()
    assert not (tmp_path / "ledger.db").exists()


def test_the_schema_is_numbered(ledger: SqliteLedger) -> None:
    assert pragma(ledger, "user_version") == schema.SCHEMA_VERSION == len(schema.MIGRATIONS)


def test_every_migration_runs_once_and_in_order(
    opened: Callable[[], SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened()
    first.app_number(APP)
    first.close()
    more = (*schema.MIGRATIONS, "CREATE TABLE extra (x INTEGER);", "INSERT INTO extra VALUES (7);")
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", len(more))
    for _ in range(2):
        again = opened()
        assert again.apps() == [APP]
        assert pragma(again, "user_version") == len(more)
        assert again._db.execute("SELECT x FROM extra").fetchall() == [(7,)]
        again.close()


def test_a_migration_that_fails_changes_nothing(
    opened: Callable[[], SqliteLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened()
    first.app_number(APP)
    first.close()
    with monkeypatch.context() as patched:
        more = (*schema.MIGRATIONS, "CREATE TABLE extra (x INTEGER);\nINSERT INTO nowhere VALUES (1);")
        patched.setattr(schema, "MIGRATIONS", more)
        patched.setattr(schema, "SCHEMA_VERSION", len(more))
        with pytest.raises(LedgerDamaged, match="no such table: nowhere"):
            opened().apps()
    again = opened()
    assert again.apps() == [APP]
    tables = {row[0] for row in again._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "extra" not in tables


def test_a_newer_schema_is_refused(opened: Callable[[], SqliteLedger]) -> None:
    first = opened()
    first.app_number(APP)
    first._db.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    first.close()
    with pytest.raises(UsageError) as caught:
        opened().apps()
    assert caught.value.exit_code == 2
    assert "was written by another release of deployctl" in str(caught.value)
    assert f"its schema is {schema.SCHEMA_VERSION + 1}" in caught.value.why
    assert "update deployctl" in caught.value.hint


def test_a_file_that_is_not_a_ledger(opened: Callable[[], SqliteLedger], tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is not a database, and it is longer than a header of SQLite" * 20)
    with pytest.raises(LedgerDamaged, match="cannot be used: file is not a database") as caught:
        opened().apps()
    assert caught.value.exit_code == 4
    assert "deployctl recover --rebuild-ledger" in caught.value.hint


def test_a_folder_in_its_place(opened: Callable[[], SqliteLedger], tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(StorageError, match="cannot be opened: unable to open database file") as caught:
        opened().apps()
    assert caught.value.hint


def test_a_ledger_that_cannot_be_written_says_so(ledger: SqliteLedger) -> None:
    # As on a disk that was mounted read-only after an error.
    ledger._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError) as caught:
        begin(ledger)
    assert caught.value.exit_code == 3
    assert caught.value.message == f"the ledger {ledger.path} cannot be written"
    assert caught.value.why == "attempt to write a readonly database"
    assert "read-only" in caught.value.hint
    ledger._db.execute("PRAGMA query_only = OFF")
    assert begin(ledger) == 1


def test_a_damaged_file_is_reported_as_that(opened: Callable[[], SqliteLedger]) -> None:
    first = opened()
    first.app_number(APP)
    first.record_version(version("v1"))
    first._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = int(first._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'versions'").fetchone()[0])
    size = int(pragma(first, "page_size"))
    first.close()
    with first.path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(LedgerDamaged, match="malformed"):
        opened().versions(APP)
    assert "malformed" in (opened().damage() or "")


def test_a_ledger_in_order_has_no_damage(ledger: SqliteLedger) -> None:
    begin(ledger)
    assert ledger.damage() is None


@pytest.mark.parametrize("left", [None, b""])
def test_a_ledger_that_is_missing(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "ledger.db"
    if left is not None:
        path.write_bytes(left)
    ledger = SqliteLedger(path, now=lambda: "now", lost=lambda: True)
    with pytest.raises(LedgerDamaged, match="the file is missing, but apps are being served"):
        ledger.apps()
    assert ledger.damage() == "the file is missing, but apps are being served"
    assert path.exists() == (left is not None), "nothing was made in its place"


def test_a_record_outlives_a_kill(opened: Callable[[], SqliteLedger], tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from orchestrator.adapters.sqlite.ledger import SqliteLedger\n"
        "from tests.unit.adapters.sqlite.helpers import GREEN, begin, slot\n"
        "ledger = SqliteLedger(Path(sys.argv[1]), now=lambda: 'now')\nledger.app_number('mymodel')\n"
        "number = begin(ledger)\nledger.step_started(number, 'switch', {}, undo=False)\n"
        "ledger.go_live(slot('green', 'v2', number), GREEN)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "ledger.db"
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    after = opened()
    assert after.apps() == ["mymodel"]
    assert after.open_deployment(APP) is not None
    assert [(step.name, step.state) for step in after.steps(1)] == [("switch", "started")]
    assert (after.traffic(APP), after.slots(APP)) == (GREEN, {"green": slot("green", "v2")})
    assert after.audit()[1] == []


def test_a_process_that_is_killed_within_a_record_leaves_nothing_of_it(
    opened: Callable[[], SqliteLedger], tmp_path: Path
) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from orchestrator.adapters.sqlite import placement\n"
        "from orchestrator.adapters.sqlite.ledger import SqliteLedger\n"
        "from tests.unit.adapters.sqlite.helpers import BLUE, GREEN, slot\n"
        "ledger = SqliteLedger(Path(sys.argv[1]), now=lambda: 'now')\nledger.app_number('mymodel')\n"
        "ledger.go_live(slot('blue', 'v1'), BLUE)\n"
        "placement.went_live = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ledger.go_live(slot('green', 'v2', 2), GREEN)\n"
    )
    path = tmp_path / "ledger.db"
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert done.returncode == -9
    after = opened()
    assert (after.traffic(APP), after.slots(APP)) == (BLUE, {"blue": slot("blue", "v1")})
    assert [each.version for each in after.switches(APP)] == ["v1"]
    assert after.audit()[1] == []


def test_it_opens_again_after_it_was_closed(ledger: SqliteLedger) -> None:
    for _ in range(2):
        ledger.close()
    assert ledger.apps() == [APP]


def test_a_record_that_fails_leaves_nothing_of_it(ledger: SqliteLedger) -> None:
    with pytest.raises(StorageError), ledger._transaction() as db:
        db.execute("INSERT INTO apps (name, number) VALUES ('half', 7)")
        raise sqlite3.OperationalError("disk I/O error")
    assert ledger.apps() == [APP]
    # And the connection is usable as before.
    assert ledger.app_number("other") == 2


# --- a ledger that was lost --------------------------------------------------------------------------------------


def restored(app: str, block: int, *, traffic: TrafficState = BLUE, deployment: int = 1) -> Restored:
    done = Deployment(
        id=deployment,
        app=app,
        kind="release",
        from_version=None,
        to_version="v1",
        from_slot=None,
        to_slot="blue",
        mode="create",
        actor="unknown",
        command="",
        started_at="t",
        finished_at="t",
        outcome="succeeded",
    )
    proxy = proxy_app(app, Route("127.0.0.1:8000"), backend("v1", "10.213.0.64"), backend("v2", active=False))
    slots = (slot("blue", "v1", deployment, app=app), slot("green", "v2", deployment, "cold", app=app))
    return Restored(app, block, (version("v1", app=app),), slots, (done,), proxy=proxy, traffic=traffic)


def test_a_damaged_ledger_is_replaced(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v7"))
    ledger.close()
    ledger.path.write_bytes(b"rubbish " * 1000)
    assert ledger.damage()
    aside = ledger.restore([restored(APP, 3)])
    assert aside.startswith("ledger.db.damaged-2031-01-01T00")
    assert (ledger.path.parent / aside).read_bytes().startswith(b"rubbish ")
    assert not list(ledger.path.parent.glob("ledger.db.new*"))
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    assert ledger.damage(thorough=True) is None
    app = restored(APP, 3)
    assert (ledger.app_number(APP), ledger.proxy_app(APP), ledger.traffic(APP)) == (3, app.proxy, BLUE)
    assert ledger.slots(APP) == {each.slot: each for each in app.slots}
    assert ledger.versions(APP) == {"v1": app.versions[0]}
    assert ledger.deployments(APP) == list(app.deployments)
    assert ledger.plan_of(1).steps == ()
    assert [(each.version, each.slot) for each in ledger.switches(APP)] == [("v1", "blue")]
    assert ledger.audit()[1] == []


def test_a_crash_while_it_is_replaced_leaves_it_damaged(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.close()
    ledger.path.write_bytes(b"rubbish " * 1000)

    def dying(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(adapter, "write_traffic", dying)
        with pytest.raises(KeyboardInterrupt):
            ledger.restore([restored(APP, 3)])
    assert ledger.path.read_bytes().startswith(b"rubbish ")
    assert ledger.damage()
    ledger.restore([restored(APP, 3)])
    assert (ledger.damage(), ledger.apps()) == (None, [APP])


def test_apps_are_added_to_a_ledger_in_order(ledger: SqliteLedger) -> None:
    ledger.go_live(slot("blue", "v1"), BLUE)
    begin(ledger)
    ledger.adopt([restored("second", 0, deployment=8), restored("third", 5, traffic=TrafficState(), deployment=9)])
    assert [ledger.app_number(app) for app in (APP, "second", "third")] == [1, 6, 5]
    assert ledger.traffic_states() == {"second": BLUE, "third": TrafficState()}
    assert ledger.switches("third") == []
    assert ledger.app_number("fourth") == 7
    assert ledger.audit()[1] == []


def test_a_number_that_another_app_has_is_not_sealed_again(ledger: SqliteLedger) -> None:
    ledger.finish(begin(ledger), "succeeded", "")
    taken = ledger.deployment(APP, 1)
    assert taken is not None
    ledger.adopt([Restored("other", 0, (), (), (replace(taken, app="other", actor="unknown"),))])
    assert ledger.deployment(APP, 1) == taken
    assert ledger.deployments("other") == []
    assert ledger.audit()[1] == []
