"""The ledger in real SQLite: what is recorded is on disk, and what it cannot record it says."""

from __future__ import annotations

import itertools
import json
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.sqlite import schema, watching
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.rollout.plan import Choice, Plan, Step
from orchestrator.domain.traffic.route import Route
from orchestrator.domain.watch.passes import Pass
from orchestrator.errors import DeploymentFailed, LedgerDamaged, UsageError
from tests.unit.builders import APP, backend, proxy_app, release_plan, v1_live, version

PLAN = release_plan(v1_live(), Choice("v2", "build"))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], SqliteLedger]]:
    """Opens the same ledger again, as another process would. Every record is a second later than the last."""
    made: list[SqliteLedger] = []
    seconds = itertools.count(1)

    def new() -> SqliteLedger:
        made.append(SqliteLedger(tmp_path / "ledger.db", now=lambda: f"2031-01-01T00:{next(seconds) % 60:02d}:00.000Z"))
        return made[-1]

    yield new
    for ledger in made:
        ledger.close()


@pytest.fixture
def ledger(opened: Callable[[], SqliteLedger]) -> SqliteLedger:
    found = opened()
    found.app_block(APP, 10)
    return found


def begin(ledger: SqliteLedger, plan: Plan = PLAN) -> int:
    return ledger.begin(plan, actor="somebody", command="deployctl release", commit=None, config={"a": 1}).id


def pragma(ledger: SqliteLedger, name: str) -> object:
    return ledger._db.execute(f"PRAGMA {name}").fetchone()[0]


# --- the file ----------------------------------------------------------------------------------------------------


def test_a_commit_is_on_disk(ledger: SqliteLedger) -> None:
    assert pragma(ledger, "journal_mode") == "wal"
    assert pragma(ledger, "synchronous") == 2, "FULL"
    assert pragma(ledger, "foreign_keys") == 1


def test_it_is_nobody_elses_business(ledger: SqliteLedger) -> None:
    # The configurations in it hold passwords.
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600


def test_a_second_connection_is_as_safe(opened: Callable[[], SqliteLedger]) -> None:
    opened().app_block(APP, 10)
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
    first.app_block(APP, 10)
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
    first.app_block(APP, 10)
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
    first.app_block(APP, 10)
    first._db.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
    first.close()
    with pytest.raises(UsageError) as caught:
        opened().apps()
    assert caught.value.exit_code == 2
    assert "was written by a newer deployctl" in str(caught.value)
    assert f"its schema is {schema.SCHEMA_VERSION + 1}" in caught.value.why
    assert "update deployctl" in caught.value.hint


def test_a_file_that_is_no_ledger(opened: Callable[[], SqliteLedger], tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, and it is longer than a header of SQLite" * 20)
    with pytest.raises(LedgerDamaged, match="cannot be used: file is not a database") as caught:
        opened().apps()
    assert caught.value.exit_code == 4
    assert "deployctl recover --rebuild-ledger" in caught.value.hint


def test_a_folder_in_its_place(opened: Callable[[], SqliteLedger], tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(DeploymentFailed, match="cannot be used: unable to open database file") as caught:
        opened().apps()
    assert caught.value.hint


def test_a_ledger_that_cannot_be_written_says_so(ledger: SqliteLedger) -> None:
    # As on a disk that was mounted read-only after an error.
    ledger._db.execute("PRAGMA query_only = ON")
    with pytest.raises(DeploymentFailed) as caught:
        begin(ledger)
    assert caught.value.exit_code == 3
    assert caught.value.message == f"the ledger {ledger.path} refused a record"
    assert caught.value.why == "attempt to write a readonly database"
    assert "read-only" in caught.value.hint
    ledger._db.execute("PRAGMA query_only = OFF")
    assert begin(ledger) == 1


def test_a_damaged_ledger_is_no_bug_of_ours(opened: Callable[[], SqliteLedger]) -> None:
    first = opened()
    first.app_block(APP, 10)
    first.record_version(version("v1"))
    first._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = int(first._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'versions'").fetchone()[0])
    size = int(pragma(first, "page_size"))  # type: ignore[call-overload]
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
def test_a_ledger_that_must_have_been_there(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "ledger.db"
    if left is not None:
        path.write_bytes(left)
    ledger = SqliteLedger(path, now=lambda: "now", lost=lambda: True)
    with pytest.raises(LedgerDamaged, match="it is gone, but apps are being served"):
        ledger.apps()
    assert ledger.damage() == "it is gone, but apps are being served"
    assert path.exists() == (left is not None), "nothing was made in its place"


def test_a_record_outlives_a_kill(opened: Callable[[], SqliteLedger], tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from orchestrator.adapters.sqlite.ledger import SqliteLedger\n"
        "ledger = SqliteLedger(Path(sys.argv[1]), now=lambda: 'now')\nledger.app_block('mymodel', 10)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "ledger.db"
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[4], check=False)
    assert done.returncode == -9
    assert opened().apps() == ["mymodel"]


# --- apps --------------------------------------------------------------------------------------------------------


def test_a_block_is_given_for_ever(ledger: SqliteLedger) -> None:
    assert ledger.app_block(APP, 10) == 1
    assert ledger.app_block("other", 10) == 2
    assert ledger.app_block(APP, 10) == 1
    assert ledger.apps() == [APP, "other"]


def test_when_all_blocks_are_taken(ledger: SqliteLedger) -> None:
    ledger.app_block("other", 2)
    with pytest.raises(UsageError, match="this state folder holds 2 apps already"):
        ledger.app_block("third", 2)
    assert ledger.apps() == [APP, "other"]


def test_what_the_proxy_knows(ledger: SqliteLedger) -> None:
    assert ledger.proxy_apps() == []
    route = Route("127.0.0.1:8000", ("a.example.com",), "/p", False, 60.0)
    app = proxy_app(
        APP, route, backend("v1", "10.213.0.64", body="ok", statuses=(200, 204)), backend("v2", active=False)
    )
    ledger.save_proxy_app(app)
    assert ledger.proxy_apps() == [app]
    ledger.remove_proxy_app(APP)
    assert ledger.proxy_apps() == []


# --- versions ----------------------------------------------------------------------------------------------------


def test_a_version_comes_back_as_it_was(ledger: SqliteLedger) -> None:
    first = version("v1", live=False, git_commit="abc", git_dirty=True, settings={"run": {"replicas": 1}})
    second = version("v2", "v1", live=False)
    ledger.record_version(first)
    ledger.record_version(second)
    found = ledger.versions(APP)
    assert list(found) == ["v1", "v2"]
    assert found == {"v1": first, "v2": second}
    assert found["v1"].settings == {"run": {"replicas": 1}}
    assert found["v1"].git_dirty is True
    assert found["v2"].git_dirty is None
    assert ledger.versions("other") == {}


def test_only_what_is_asked_for_is_taken_apart(ledger: SqliteLedger) -> None:
    for number in range(1, 4):
        ledger.record_version(version(f"v{number}", live=False))
    with sqlite3.connect(ledger.path) as db:
        db.execute("UPDATE versions SET settings = 'no JSON' WHERE name = 'v1'")
    db.close()
    found = ledger.versions(APP)
    assert found["v3"] == version("v3", live=False)
    assert "v1" in found
    assert "v4" not in found
    assert found.get("v4") is None
    assert (len(found), list(found)) == (3, ["v1", "v2", "v3"])
    with pytest.raises(json.JSONDecodeError):
        assert found["v1"]


def test_versions_stay_as_they_were_read(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", live=False))
    found = ledger.versions(APP)
    ledger.mark_live(APP, "v1", stable=False)
    assert found["v1"].live_at is None
    assert ledger.versions(APP)["v1"].live_at


def test_a_version_that_was_never_live_is_written_anew(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", live=False))
    ledger.record_version(version("v1", live=False, image_id="sha256:new"))
    assert ledger.versions(APP)["v1"].image_id == "sha256:new"


def test_the_first_time_it_was_live_is_remembered(ledger: SqliteLedger) -> None:
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


def test_a_pruned_version_that_is_live_again_is_not_pruned(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1"))
    ledger.mark_pruned(APP, "v1")
    assert ledger.versions(APP)["v1"].pruned_at
    ledger.mark_live(APP, "v1", stable=True)
    assert ledger.versions(APP)["v1"].pruned_at is None


def test_settings(ledger: SqliteLedger) -> None:
    ledger.record_version(version("v1", settings={"a": 1}))
    assert ledger.settings(APP, "v1") == {"a": 1}
    ledger.record_settings(APP, "v1", {"a": 2})
    assert ledger.settings(APP, "v1") == {"a": 2}
    with pytest.raises(UsageError, match="the ledger does not know mymodel v9"):
        ledger.settings(APP, "v9")


# --- slots -------------------------------------------------------------------------------------------------------


def states(ledger: SqliteLedger) -> dict[str, tuple[str, str, str | None]]:
    return {slot: (s.version, s.state, s.warm_until) for slot, s in ledger.slots(APP).items()}


def test_a_slot_that_becomes_live_takes_the_mark_from_the_other(ledger: SqliteLedger) -> None:
    ledger.set_slot(APP, "blue", "v1", 1, "live")
    ledger.set_slot(APP, "green", "v2", 2, "starting")
    assert states(ledger) == {"blue": ("v1", "live", None), "green": ("v2", "starting", None)}
    ledger.set_slot(APP, "green", "v2", 2, "live")
    assert states(ledger) == {"blue": ("v1", "warm", None), "green": ("v2", "live", None)}
    ledger.set_slot(APP, "blue", "v1", 1, "warm", warm_until="2031-01-01T01:00:00.000Z")
    assert states(ledger)["blue"] == ("v1", "warm", "2031-01-01T01:00:00.000Z")
    ledger.set_slot(APP, "blue", "v1", 1, "live")
    assert states(ledger) == {"blue": ("v1", "live", None), "green": ("v2", "warm", None)}


def test_other_apps_keep_their_mark(ledger: SqliteLedger) -> None:
    ledger.app_block("other", 10)
    ledger.set_slot("other", "blue", "v1", 1, "live")
    ledger.set_slot(APP, "green", "v1", 2, "live")
    assert ledger.slots("other")["blue"].state == "live"


def test_saying_the_same_again_does_not_change_since_when(ledger: SqliteLedger) -> None:
    ledger.set_slot(APP, "blue", "v1", 1, "live")
    since = ledger.slots(APP)["blue"].since
    ledger.set_slot(APP, "blue", "v1", 1, "live")
    assert ledger.slots(APP)["blue"].since == since
    ledger.set_slot(APP, "blue", "v1", 1, "warm")
    assert ledger.slots(APP)["blue"].since != since


def test_a_slot_is_cleared(ledger: SqliteLedger) -> None:
    ledger.set_slot(APP, "blue", "v1", 1, "live")
    ledger.clear_slot(APP, "blue")
    ledger.clear_slot(APP, "green")
    assert ledger.slots(APP) == {}


# --- deployments -------------------------------------------------------------------------------------------------


def test_an_app_has_one_open_deployment(ledger: SqliteLedger) -> None:
    first = begin(ledger)
    with pytest.raises(DeploymentFailed, match="UNIQUE constraint failed"):
        begin(ledger)
    found = ledger.open_deployment(APP)
    assert found is not None
    assert found.id == first
    ledger.finish(first, "failed", "why")
    assert ledger.open_deployment(APP) is None
    assert begin(ledger) > first


def test_two_apps_may_deploy_at_once(ledger: SqliteLedger) -> None:
    ledger.app_block("other", 10)
    begin(ledger)
    begin(ledger, replace(PLAN, app="other"))
    assert ledger.open_deployment("other") is not None


def test_a_deployment_comes_back_as_it_was(ledger: SqliteLedger) -> None:
    found = ledger.deployment(APP, begin(ledger))
    assert found is not None
    facts = (found.kind, found.from_version, found.to_version, found.from_slot, found.to_slot, found.mode)
    assert facts == ("release", "v1", "v2", "blue", "green", "create")
    assert (found.actor, found.command, found.config) == ("somebody", "deployctl release", {"a": 1})
    assert (found.outcome, found.finished_at, found.reason) == (None, None, "")
    assert ledger.deployment("other", found.id) is None
    assert ledger.plan_of(found.id) == replace(PLAN, notes=())


def test_the_outcome_is_written_once(ledger: SqliteLedger) -> None:
    number = begin(ledger)
    ledger.finish(number, "failed", "it never became ready")
    ledger.finish(number, "succeeded", "")
    found = ledger.deployment(APP, number)
    assert found is not None
    assert (found.outcome, found.reason) == ("failed", "it never became ready")
    assert found.finished_at


def test_deployments_come_newest_first_whatever_the_clock_says(tmp_path: Path) -> None:
    times = iter(["2031", "2030", "2030", "2029", "2029", "2028"] * 3)
    ledger = SqliteLedger(tmp_path / "ledger.db", now=lambda: next(times))
    ledger.app_block(APP, 10)
    for _ in range(4):
        ledger.finish(begin(ledger), "succeeded", "")
    assert [found.id for found in ledger.deployments(APP)] == [4, 3, 2, 1]
    assert [found.id for found in ledger.deployments(APP, 2)] == [4, 3]
    assert [found.id for found in ledger.deployments(APP, -1)] == [4, 3, 2, 1]
    ledger.close()


def test_deployments_are_counted_by_kind_and_outcome(ledger: SqliteLedger) -> None:
    assert ledger.deployment_counts(APP) == []
    ledger.app_block("other", 10)
    begin(ledger, replace(PLAN, app="other"))
    for kind, outcome in (("release", "succeeded"), ("release", "failed"), ("rollback", "undone")):
        ledger.finish(begin(ledger, replace(PLAN, kind=kind)), outcome, "")  # type: ignore[arg-type]
    ledger.finish(begin(ledger), "succeeded", "")
    last = ledger.deployments(APP)[0].finished_at
    begin(ledger)  # still open: it counts nowhere
    found = ledger.deployment_counts(APP)
    assert [(row.kind, row.outcome, row.count) for row in found] == [
        ("release", "failed", 1),
        ("release", "succeeded", 2),
        ("rollback", "undone", 1),
    ]
    assert found[1].last == last
    assert ledger.deployment_counts("other") == []


def test_the_newest_good_pass_outlives_any_number_of_bad_ones(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_KEPT_PASSES", 5)
    ledger.app_block("other", 10)

    def passes(*outcomes: str, app: str = APP) -> list[str]:
        for outcome in outcomes:
            ledger.record_pass(app, Pass("2031", 0.1, outcome), {}, {})  # type: ignore[arg-type]
        return [found.outcome for found in ledger.passes(app, -1)]

    bad = ["failed", "degraded"] * 4
    assert passes(*bad) == bad[:2:-1]
    assert passes("healthy", "acted", *bad) == [*bad[:2:-1], "acted"]
    assert passes("healthy", app="other") == ["healthy"]
    assert passes(*bad) == [*bad[:2:-1], "acted"]
    assert passes("healthy", "failed") == ["failed", "healthy", "degraded", "failed", "degraded"]
    assert [found.outcome for found in ledger.passes(APP, 1)] == ["failed"]


def test_the_journal(ledger: SqliteLedger) -> None:
    number = begin(ledger)
    first = ledger.step_started(number, "build", {"version": "v2"}, undo=False)
    (row,) = ledger.steps(number)
    assert (row.seq, row.name, row.args, row.undo, row.state) == (1, "build", {"version": "v2"}, False, "started")
    assert (row.finished_at, row.detail) == (None, {})
    ledger.step_finished(first, "failed", {"error": "why"}, 1.5)
    ledger.step_started(number, "settle", {}, undo=True)
    rows = ledger.steps(number)
    assert [(row.seq, row.name, row.undo, row.state) for row in rows] == [
        (1, "build", False, "failed"),
        (2, "settle", True, "started"),
    ]
    assert rows[0].detail == {"error": "why"}
    assert rows[0].finished_at
    assert rows[0].seconds == 1.5


def test_a_step_of_no_deployment_is_refused(ledger: SqliteLedger) -> None:
    with pytest.raises(DeploymentFailed, match="FOREIGN KEY"):
        ledger.step_started(99, "build", {}, undo=False)


def test_a_plan_with_every_kind_of_argument(ledger: SqliteLedger) -> None:
    steps = (Step("probe", {"version": "v2", "slot": "green", "warm": True}), Step("retire", {"keep_warm": 0.5}))
    number = begin(ledger, replace(PLAN, from_version=None, from_slot=None, steps=steps))
    found = ledger.plan_of(number)
    assert found.steps == steps
    assert (found.from_version, found.from_slot) == (None, None)


def test_a_record_that_fails_leaves_no_half(ledger: SqliteLedger) -> None:
    with pytest.raises(DeploymentFailed), ledger._transaction() as db:
        db.execute("INSERT INTO apps (name, block) VALUES ('half', 7)")
        raise sqlite3.OperationalError("disk I/O error")
    assert ledger.apps() == [APP]
    # And the connection is usable as before.
    assert ledger.app_block("other", 10) == 2
