"""Verify: every difference from the ledger is named; the unfinished work of another command is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.docker import files_in as seen
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.record.labels import Restored
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.manifest import EMPTY, File, Manifest
from orchestrator.errors import Degraded, EngineError, Locked, StorageError
from orchestrator.release.rebuild import rebuild_ledger
from orchestrator.release.workloads import workload_spec
from orchestrator.reports.catalog import report_schema
from orchestrator.reports.serialize import document
from orchestrator.reports.verify import VerifyReport, verify
from orchestrator.reports.verify_record import Manifests
from orchestrator.reports.who_was_live import who_was_live
from tests.fakes.world import Crash, World
from tests.unit.builders import APP, version
from tests.unit.release.test_heal import damaged
from tests.unit.reports.conforming import conforms


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    """v1 is warm, v2 live; each manifest has a file and a link, and they differ in how the image is built."""
    world = worlds()
    for number in (1, 2):
        release_number(world, number)
    return world


def release_number(world: World, number: int) -> None:
    """Releases the version of this number; its sources are the same each time."""
    world.supply.files = (
        File("context/a", "file", "0644", 1, f"{number:064x}"),
        File.link("context/l", f"to-{number}"),
    )
    world.supply.build = {"args": str(number)}
    world.release(f"v{number}", context=Manifest.of(world.supply.files, world.supply.build).digest)


def problems(world: World) -> list[str]:
    return list(look(world).problems)


def look(world: World) -> VerifyReport:
    return verify(world.process(), APP)


def container_of(world: World, name: str) -> Container:
    return next(container for container in world.workloads.containers(APP) if container.version == name)


def tamper(world: World, *statements: str) -> None:
    with closing(sqlite3.connect(world.folder / "ledger.db")) as db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0
        db.commit()


def test_an_untouched_app_matches_the_ledger(world: World) -> None:
    report = look(world)
    assert (report.ok, report.problems) == (True, ())
    assert conforms(document(report), report_schema("verify")) == []
    assert {"events", "manifests", "deltas", "slots", "images", "containers"} <= report.checked.keys()
    world.rollback()
    world.release("v2", context=world.supply.context)
    assert problems(world) == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE versions SET author = CAST(author AS BLOB) WHERE name = 'v1'", "the record of mymodel v1 is not"),
        ("UPDATE versions SET author = CAST(x'6de5' AS TEXT) WHERE name = 'v1'", "the record of mymodel v1 is not"),
        ("UPDATE versions SET author = CAST(x'6de5' AS TEXT) WHERE name = 'v2'", "the record of mymodel v2 is not"),
        ("UPDATE versions SET settings = '{\"a:1}' WHERE name = 'v2'", "the record of mymodel v2 is not"),
        ("UPDATE versions SET name = CAST(x'76e5' AS TEXT) WHERE name = 'v1'", "version v1 of mymodel was recorded"),
        ("UPDATE deployments SET actor = CAST(x'6de5' AS TEXT) WHERE id = 1", "the record of deployment 1"),
        ("UPDATE deployments SET reason = CAST('x' AS BLOB) WHERE id = 1", "the record of deployment 1"),
        ("UPDATE steps SET args = CAST(x'6de5' AS TEXT) WHERE id = 1", "the journal of deployment 1"),
        ("UPDATE events SET kind = CAST(x'6de5' AS TEXT) WHERE id = 1", "event 1 (m\\udce5) is not"),
        ("UPDATE events SET detail = CAST(detail AS BLOB) WHERE id = 1", "event 1 ("),
        ("UPDATE events SET detail = '{' WHERE kind = 'live' AND id < 20", "(live) is not what was recorded"),
        ("UPDATE slots SET version = 'v1' WHERE state = 'ready'", "the slots say that v1 of mymodel is live"),
        ("UPDATE traffic SET live = 'mive'", "the ledger says that nothing is live"),
        ("UPDATE slots SET slot = CAST(x'62e5' AS TEXT) WHERE state = 'ready'", "the record of the slots"),
        ("UPDATE apps SET proxy = '{'", "the record of the slots or of the app's route is damaged"),
        ("UPDATE images SET layers = '[]' WHERE version = 'v1'", "the layers of the image of mymodel v1"),
        ("DELETE FROM images WHERE version = 'v1'", "image v1 of mymodel was recorded, but is missing"),
        ("UPDATE changes SET target = 'x' WHERE path = 'context/l' AND version = 'v2'", "v2: its recorded delta to v1"),
        ("UPDATE changes SET digest = CAST(x'6de5' AS TEXT) WHERE version = 'v2'", "v2: its recorded delta to v1"),
        ("UPDATE builds SET facts = '{}' WHERE version = 'v2'", "v2: its recorded delta to v1"),
        ("UPDATE builds SET facts = 'x' WHERE version = 'v2'", "v2: its recorded delta to v1"),
        ("DELETE FROM builds WHERE version = 'v2'", "v2: its recorded delta to v1"),
    ],
)
def test_any_damage_in_the_ledger_is_named(world: World, statement: str, named: str) -> None:
    tamper(world, statement)
    assert named in "\n".join(problems(world))


def test_a_flipped_bit_in_an_index_is_named(world: World) -> None:
    with closing(sqlite3.connect(world.folder / "ledger.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.close()
    file = world.folder / "ledger.db"
    data = bytearray(file.read_bytes())
    at = data.find(b"mymodellive")
    while data[at + 11] == ord("{"):  # in the table the detail follows, in the index it does not
        at = data.find(b"mymodellive", at + 1)
    assert at >= 0
    data[at + 7] ^= 1
    file.write_bytes(data)
    assert "index events_by_kind" in "\n".join(problems(world))


def test_who_was_live_reports_damaged_events(world: World) -> None:
    tamper(world, "UPDATE events SET detail = '{' WHERE kind = 'live'")
    with pytest.raises(Degraded, match="the record of which version of mymodel was live at which time cannot be read"):
        who_was_live(world.process(), APP, world.now(), world.now())


# --- slots, containers -------------------------------------------------------------------------------------------


def test_a_route_that_differs_from_the_slots_is_named(world: World) -> None:
    world.proxy.disk[APP] = TrafficState(live="blue")
    assert problems(world) == ["the route on disk leads to blue, the ledger says that v2 is live in green"]


def test_a_live_version_without_containers_is_named(world: World) -> None:
    world.workloads.remove(container_of(world, "v2"))
    assert problems(world) == ["v2 is live in green with 0 of 1 container"]


@pytest.mark.parametrize(
    ("key", "value", "seen_as"),
    [
        ("slot", "green", {"slot": "green"}),
        ("slot", "reen", {}),
        ("index", "2", {"index": 2}),
        ("deployment", "7", {"deployment": 7}),
        ("deployment", "2", {"deployment": 2}),
        ("state", "other", {}),
    ],
)
def test_a_changed_label_is_named(world: World, key: str, value: str, seen_as: dict[str, Any]) -> None:
    container = container_of(world, "v1")
    world.engine.change(container, labels={**container.labels, f"deployctl.{key}": value}, **seen_as)
    differences = problems(world)
    assert differences
    assert all(text.startswith(f"{container.name} has the label") for text in differences)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"command": ("sh",)}, "command"),
        ({"environment": {"X": "1"}}, "environment"),
        ({"volumes": ("/etc:/host",)}, "volumes"),
        ({"user": "root"}, "user"),
    ],
)
def test_a_container_that_was_replaced_by_another_is_named(world: World, changes: dict[str, Any], named: str) -> None:
    """Its name, labels, image and address are the same."""
    container = container_of(world, "v2")
    spec = world.engine.specs[container.id]
    world.engine.specs[container.id] = replace(spec, runtime=replace(spec.runtime, **changes))
    assert problems(world) == [f"{container.name} has another {named} than was recorded"]


def test_a_warm_container_with_the_settings_of_an_earlier_deployment_is_not_compared(world: World) -> None:
    container = container_of(world, "v1")
    spec = world.engine.specs[container.id]
    world.engine.specs[container.id] = replace(spec, runtime=replace(spec.runtime, user="root"))
    assert problems(world) == [f"{container.name} has another user than was recorded"]
    world.engine.change(container, labels={**container.labels, "deployctl.config": "of then"})
    assert problems(world) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda app: replace(app, route=replace(app.route, listen="0.0.0.0:1")), "has listen 0.0.0.0:1"),
        (lambda app: replace(app, route=replace(app.route, hosts=("evil",))), "has hosts"),
        (lambda app: changed(app, addresses=("10.9.9.9",)), "does not have 10.213."),
        (lambda app: changed(app, version="v1"), "has v1 in green, not v2"),
        (lambda app: changed(app, probe=replace(app.slots["green"].probe, path="/x")), "another health check"),
        (lambda app: replace(app, slots={}), "has no addresses of green"),
    ],
)
def test_a_changed_record_of_the_route_is_named(
    world: World, change: Callable[[ProxyApp], ProxyApp], named: str
) -> None:
    known = world.ledger.proxy_app(APP)
    assert known is not None
    world.ledger.save_proxy_app(change(known))
    assert any(text.startswith("the record of the app's route") and named in text for text in problems(world))


def changed(app: ProxyApp, **changes: Any) -> ProxyApp:
    return replace(app, slots={**app.slots, "green": replace(app.slots["green"], **changes)})


def test_a_container_that_is_removed_meanwhile_is_skipped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    container = container_of(world, "v1")

    def files_in(inspected: Container, folder: str) -> dict[str, str]:
        if inspected.id == container.id:
            world.workloads.remove(container)
            raise EngineError("No such container")
        return {}

    monkeypatch.setattr(world.access, "files_in", files_in)
    assert problems(world) == []


class Api:
    """An engine that provides an archive when the host shows no files."""

    def inspect_container(self, container_id: str) -> dict[str, Any]:
        return {"State": {"Pid": 4711}}


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError, ProcessLookupError])
@pytest.mark.parametrize("where", ["_through_links", "_walk"])
def test_files_that_the_host_does_not_show_come_from_the_engine(
    monkeypatch: pytest.MonkeyPatch, where: str, error: type[OSError]
) -> None:
    def fail(*places: Path) -> Any:
        raise error

    monkeypatch.setattr(seen, "_is_of", lambda pid, container_id: True)
    monkeypatch.setattr(seen, "_through_links", lambda root, place: False)
    monkeypatch.setattr(seen, where, fail)
    monkeypatch.setattr(seen, "archived", lambda *asked: {"w": "1"})
    assert seen.files_in(Api(), "c", "/model") == {"w": "1"}


def test_a_truncated_archive_is_an_engine_error() -> None:
    class Broken:
        def get_archive(self, container_id: str, folder: str, chunk_size: int) -> Any:
            return iter([b"rubbish " * 100]), {}

    with pytest.raises(EngineError, match="archive of /model cannot be read"):
        seen.archived(Broken(), "c", "/model")


# --- other commands ----------------------------------------------------------------------------------------------


def test_the_work_of_another_command_is_not_a_problem(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = iter([["is being removed"], []])

    def objects(progress: object) -> Any:
        for fault in next(faults):
            world.ledgers[0].event(APP, "repaired", {})
            yield "0" * 64, fault

    monkeypatch.setattr(world.models, "check", objects)
    assert problems(world) == []


def test_nothing_is_claimed_while_another_command_holds_the_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.models, "check", lambda progress: iter([("0" * 64, "is being removed")]))
    services = world.process()
    with services.locks.app(APP):
        with pytest.raises(Locked, match="the work of other commands") as caught:
            verify(services, APP)
        assert caught.value.exit_code == 75
        tamper(world, "UPDATE versions SET author = 'x' WHERE name = 'v1'")
        differences = verify(services, APP).problems
    assert differences[0] == "the record of mymodel v1 is not what was recorded"
    assert len(differences) == 2
    assert "is being removed" in "\n".join(verify(services, APP).problems)


def test_an_untouched_app_matches_while_another_command_holds_the_lock(world: World) -> None:
    services = world.process()
    with services.locks.app(APP):
        assert verify(services, APP).problems == ()


# --- memory ------------------------------------------------------------------------------------------------------


def test_only_a_few_manifests_are_kept_in_memory() -> None:
    class Services:
        class manifests:
            load = staticmethod(lambda digest: EMPTY)

    versions = {f"v{number}": version(f"v{number}") for number in range(1, 50)}
    manifests = Manifests(Services, versions)  # type: ignore[arg-type]
    for name in versions:
        manifests.get(name)
    assert len(manifests._kept) <= 4


# --- an old ledger, a lost ledger --------------------------------------------------------------------------------


def test_a_damaged_manifest_does_not_stop_a_rebuild(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = world.ledger.versions(APP)["v2"].manifest
    damaged(world)
    intact = world.manifests.load

    def known(digest: str) -> Manifest | None:
        if digest == newest:
            raise StorageError("the manifest was changed")
        return intact(digest)

    monkeypatch.setattr(world.manifests, "load", known)
    services = world.process()
    assert rebuild_ledger(services) == [APP]
    assert "v2 is recorded without its files: the manifest was changed" in world.reports.notes
    assert [event.kind for event in world.ledger.audit()[0]].count("rebuilt") == 1
    assert problems(world) == ["v2: the manifest was changed"]


def test_a_container_that_cannot_be_removed_does_not_stop_a_rebuild(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.ledger.versions(APP)["v1"]
    world.workloads.remove(container_of(world, "v1"))
    left = world.workloads.create(workload_spec(world.services, world.config(), one, "blue", 1, 9))
    damaged(world)

    def refuse(container: object) -> None:
        raise EngineError("it is busy")

    monkeypatch.setattr(world.workloads, "remove", refuse)
    assert rebuild_ledger(world.process()) == [APP]
    assert f"{left.name}, which never passed its probes, was not removed: it is busy" in world.reports.notes
    assert [event.kind for event in world.ledger.audit()[0]].count("rebuilt") == 1


def test_a_deployment_number_of_another_app_is_not_sealed_again(world: World, tmp_path: Path) -> None:
    ledger = SqliteLedger(world.folder / "ledger.db", now=lambda: "2031-01-01T00:00:00.000Z")
    taken = ledger.deployment(APP, 1)
    assert taken is not None
    other = Restored("other", 0, (), (), (replace(taken, app="other", actor="unknown"),))
    ledger.adopt([other])
    assert ledger.audit()[1] == []
    ledger.close()


# --- when it was -------------------------------------------------------------------------------------------------


def test_a_year_before_1000_comes_before_all_others(world: World) -> None:
    early = datetime(900, 1, 1, tzinfo=UTC)
    assert who_was_live(world.process(), APP, early, early).live == ()


def test_the_time_of_a_switch_is_taken_right_after_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = []
    apply, go_live = world.traffic.apply, SqliteLedger.go_live
    world.bake = "10m"
    release_number(world, 1)

    def noted(app: str, state: TrafficState) -> None:
        apply(app, state)
        moments.append(world.now())

    def slow(ledger: SqliteLedger, slot: SlotState, traffic: TrafficState) -> None:
        world.time += 7
        go_live(ledger, slot, traffic)

    monkeypatch.setattr(world.traffic, "apply", noted)
    monkeypatch.setattr(SqliteLedger, "go_live", slow)
    world.rollback("v2")
    assert world.now() > moments[-1]
    assert datetime.fromisoformat(world.ledger.switches(APP)[-1].since) == moments[-1]


def test_after_a_crash_the_time_of_a_switch_is_that_of_the_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    at = []
    up, apply = world.edge.up, world.traffic.apply

    def slow_up(*arguments: Any) -> None:
        world.time += 20
        up(*arguments)

    def dying_apply(app: str, state: TrafficState) -> None:
        apply(app, state)
        at.append(world.now())
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(world.edge, "up", slow_up)
        patch.setattr(world.traffic, "apply", dying_apply)
        with pytest.raises(Crash):
            world.rollback()
    world.time += 300
    world.recover()
    last = world.ledger.switches(APP)[-1]
    assert (last.version, datetime.fromisoformat(last.since)) == ("v1", at[0])
