"""Removing an app: everything that belongs to it, nothing else, and after any crash the next command finishes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.config import Config
from orchestrator.domain.watch.schedule import Entry
from orchestrator.errors import EngineError, HostError, LedgerDamaged, Locked, UsageError
from orchestrator.release.release import release
from orchestrator.release.removal import Belongings, belongings, remove
from orchestrator.reports.apps import apps
from orchestrator.reports.doctor import doctor
from orchestrator.reports.events import Filters, events
from orchestrator.reports.status import status
from orchestrator.reports.verify import verify
from orchestrator.reports.who_was_live import who_was_live
from tests.fakes.world import APP, Crash, World
from tests.unit.builders import REGISTRY
from tests.unit.stage import Stage

OTHER = "other"
TABLES = ("versions", "changes", "builds", "images", "deployments", "slots", "traffic", "watch", "passes", "counters")


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


def other_config(world: World) -> Config:
    config = world.config()
    return config.model_copy(
        update={
            "app": config.app.model_copy(update={"name": OTHER}),
            "proxy": config.proxy.model_copy(update={"listen": "127.0.0.1:8100"}),
        }
    )


def two_apps(world: World) -> None:
    """Two versions of an app with a secret, and another app."""
    world.secrets = 'token = "file:token"'
    (world.folder / ".dockerignore").write_text("token\n")
    (world.folder / "token").write_text("a long secret")
    release(world.process(), other_config(world), "v1")
    world.release("v1")
    world.release("v2")


def alone(world: World) -> None:
    world.release("v1")


def served_by_the_other(world: World) -> bool:
    """Whether a request of the other app is answered now."""
    running = world.proxy.running or {}
    endpoints = world.proxy.endpoints.get((OTHER, "blue"))
    here = {each.address for each in world.workloads.containers(OTHER) if each.running}
    return OTHER in running and endpoints is not None and set(endpoints.addresses) <= here


def rows(world: World, app: str = APP) -> dict[str, int]:
    """How many rows of an app each table has, without those that have none."""
    with closing(SqliteLedger(world.folder / "ledger.db", now=lambda: "now")) as ledger:
        counts = {
            table: ledger._read(f"SELECT COUNT(*) FROM {table} WHERE app = ?", (app,)).fetchone()[0] for table in TABLES
        }
    return {table: count for table, count in counts.items() if count}


def expect_removed(world: World) -> None:
    services = world.process()
    assert world.workloads.containers(APP) == ()
    assert [tag for tag in world.engine.images if tag.startswith(f"{APP}:")] == []
    assert {app for app, _ in world.supply.kept} <= {OTHER}
    assert world.kept_secrets() == {}
    assert not (world.folder / "secrets" / APP).exists()
    assert APP not in services.ledger.apps()
    assert APP not in world.proxy.disk
    assert APP not in (world.proxy.running or {})
    assert APP not in [app.name for app in world.proxy.apps] or world.proxy.running is None
    assert rows(world) == {}
    assert services.ledger.removal(APP) is None


def expect_other(world: World) -> None:
    services = world.process()
    assert served_by_the_other(world)
    assert [row.app for row in apps(services).apps] == [OTHER]
    assert status(services, OTHER, "").problems == ()
    checks = {check.name: check.ok for check in doctor(services, other_config(world)).checks}
    assert (checks["proxy"], checks["app"]) == (True, True)
    assert (OTHER, "v1") in world.supply.kept
    assert [tag for tag in world.engine.images if tag.startswith(f"{OTHER}:")] == [f"{OTHER}:v1"]


def test_all_that_is_an_app_s_is_removed_and_nothing_else(world: World) -> None:
    two_apps(world)
    found = belongings(world.process(), APP)
    assert (found.live, found.listen, found.versions) == ("v2", "127.0.0.1:8000", ["v1", "v2"])
    assert found.containers == ["mymodel-v1-blue-1", "mymodel-v2-green-1"]
    assert found.images == ["mymodel:v1", "mymodel:v2"]
    assert world.served() == "v2", "nothing was changed yet"
    done = remove(world.process(), APP)
    assert (done.containers, done.images) == (found.containers, found.images)
    assert done.proxy_removed is False
    expect_removed(world)
    expect_other(world)


def test_verify_finds_nothing_after_a_removal(world: World) -> None:
    two_apps(world)
    remove(world.process(), APP)
    for app in (OTHER, APP):
        report = verify(world.process(), app)
        # The fake of the manifests keeps none.
        assert [text for text in report.problems if "manifest" not in text] == []


@pytest.mark.parametrize("step", ["build", "create", "register", "switch", "retire"])
@pytest.mark.parametrize("version", ["v1", "v3"])
def test_an_interrupted_deployment_goes_with_the_app(world: World, step: str, version: str) -> None:
    if version == "v1":
        release(world.process(), other_config(world), "v1")
    else:
        two_apps(world)

    def crash(when: str, name: str) -> None:
        if (when, name) == ("acted", step):
            raise Crash

    world.boundary = crash
    try:
        world.release(version)
    except Crash:
        assert world.ledger.open_deployment(APP) is not None
    world.boundary = lambda when, name: None
    remove(world.process(), APP)
    expect_removed(world)
    expect_other(world)


def test_the_proxy_goes_with_the_last_app_and_the_engine_is_forgotten(world: World) -> None:
    alone(world)
    assert world.ledger.engine() is not None
    assert remove(world.process(), APP).proxy_removed
    assert world.proxy.running is None
    assert world.process().ledger.engine() is None
    expect_removed(world)


def test_the_name_begins_anew(world: World) -> None:
    two_apps(world)
    number = world.process().ledger.app_number(APP)
    remove(world.process(), APP)
    world.process().ledger.count(APP, "skipped")  # by a pass that waited for the removal
    assert world.ledger.app_number("third") == 3, "no other app gets the number"
    result = world.release("v1", context="sha256:something else")
    assert (result.version, result.previous) == ("v1", None)
    services = world.process()
    assert world.served() == "v1"
    assert services.ledger.app_number(APP) == number
    assert list(services.ledger.versions(APP)) == ["v1"]
    assert [each.to_version for each in services.ledger.deployments(APP)] == ["v1"]
    assert services.ledger.counts(APP) == {}
    assert [each.version for each in who_was_live(services, APP, world.now(), world.now()).live] == ["v1"]


def test_the_events_say_who_removed_what(world: World) -> None:
    two_apps(world)
    remove(world.process(), APP)
    (last,) = events(world.process(), APP, 1, Filters(kinds=("removed",))).events
    assert last.by == "Somebody <some@body>"
    assert last.text == "the app was removed, with 2 versions and the records of 2 deployments"
    (event,) = world.ledger.newest_events(APP, 1)
    assert "a long secret" not in event.detail
    assert '"to_version": "v2"' in event.detail
    everything = b"".join(path.read_bytes() for path in world.folder.glob("ledger.db*"))
    assert b"file:token" in everything, "the other app has it too"


def test_no_value_stays_in_the_file_of_the_ledger(world: World) -> None:
    world.env = 'PASSWORD = "correct horse"'
    alone(world)
    remove(world.process(), APP)
    world.close()
    assert b"correct horse" not in b"".join(path.read_bytes() for path in world.folder.glob("ledger.db*"))


def test_open_requests_may_finish(world: World) -> None:
    two_apps(world)
    world.proxy.open[APP, "green"] = 3
    done = remove(world.process(), APP)
    assert done.cut == 3
    assert world.time >= 2, "the drain limit"
    assert "3 requests in green were cut after 2 s" in world.reports.notes


def test_without_a_running_proxy(world: World) -> None:
    two_apps(world)
    world.edge.down()
    remove(world.process(), APP)
    expect_removed(world)
    assert list(world.proxy.disk) == [OTHER]


def test_what_stays_is_named(world: World) -> None:
    world.more = f'[registry]\npush = "{REGISTRY}"\n'
    world.run = 'volumes = ["cache:/cache", "/srv:/srv"]'
    alone(world)
    theirs = Entry("crontab", "the crontab of eve", APP, "/another/folder")
    world.scheduler.installed = [theirs, Entry("cron.d", "/etc/cron.d/x", APP, str(world.folder))]
    done = remove(world.process(), APP)
    assert done.left == [
        "the schedule in the crontab of eve, which is for another state folder",
        f"the images of v1 in the registry, as {REGISTRY}",
        "the volume cache",
    ]
    assert [entry.place for entry in done.schedules] == ["/etc/cron.d/x"]
    assert world.scheduler.installed == [theirs]


def test_a_schedule_that_cannot_be_removed_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(entry: Entry) -> None:
        raise HostError("crontab cannot be run")

    alone(world)
    world.scheduler.installed = [Entry("crontab", "the crontab", APP, str(world.folder))]
    monkeypatch.setattr(world.scheduler, "remove", refuse)
    done = remove(world.process(), APP)
    assert (done.schedules, done.left) == ([], ["the schedule in the crontab: crontab cannot be run"])
    expect_removed(world)


def test_an_image_of_an_interrupted_build_is_removed_too(world: World) -> None:
    alone(world)
    left = "sha256:" + "e" * 64
    world.engine.images[f"{APP}:v2"] = left
    world.engine.image_labels[left] = dict(world.engine.image_labels[world.engine.images[f"{APP}:v1"]])
    theirs = "sha256:" + "f" * 64
    world.engine.images[f"{APP}:v9"] = theirs
    world.engine.image_labels[theirs] = {**world.engine.image_labels[left], "deployctl.state": "another"}
    assert remove(world.process(), APP).images == [f"{APP}:v1", f"{APP}:v2"]
    assert list(world.engine.images) == [f"{APP}:v9"]


@pytest.mark.parametrize("text", ["own", "another"])
def test_its_file_of_metrics_is_removed(world: World, text: str, tmp_path: Path) -> None:
    place = tmp_path / "deployctl.prom"
    place.write_text(f'deployctl_engine_up{{app="{APP if text == "own" else "another"}"}} 1\n')
    world.more = f'[watchdog]\ntextfile = "{place}"\n'
    alone(world)
    remove(world.process(), APP)
    assert place.exists() is (text == "another")


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nothing", "../locks/x", "", "mymodel "])
def test_an_unknown_app_is_refused(world: World, name: str) -> None:
    alone(world)
    for command in (belongings, remove):
        with pytest.raises(UsageError, match=r"there is no app .* in the state folder") as caught:
            command(world.process(), name)
        assert caught.value.why == "its apps are: mymodel"
    assert world.served() == "v1"


def test_an_app_that_the_ledger_does_not_know_but_runs_is_not_removed(world: World) -> None:
    alone(world)
    with closing(SqliteLedger(world.folder / "ledger.db", now=lambda: "now")) as ledger:
        ledger.remove_app(APP, {})
    with pytest.raises(LedgerDamaged):
        remove(world.process(), APP)
    assert world.served() == "v1"


def test_another_command_is_not_disturbed(world: World) -> None:
    alone(world)
    with world.services.locks.app(APP):
        for command in (belongings, remove):
            with pytest.raises(Locked):
                command(world.process(), APP)
    assert world.served() == "v1"


# --- interrupted ------------------------------------------------------------------------------------------------------


def again(world: World) -> Belongings:
    return remove(world.process(), APP)


def watched(world: World) -> Any:
    return world.watch()


def released(world: World) -> Any:
    result = world.release("v1", context="sha256:new")
    assert (result.version, world.served()) == ("v1", "v1")
    return remove(world.process(), APP)


@pytest.mark.parametrize("following", [again, watched, released])
@pytest.mark.parametrize("part", ["traffic", "containers", "images", "files", "schedules", "records"])
@pytest.mark.parametrize("when", ["before", "acted"])
def test_the_next_command_finishes_an_interrupted_removal(
    stage: Stage, following: Callable[[World], Any], part: str, when: str
) -> None:
    world = stage.world(two_apps)

    def crash(at: str, name: str) -> None:
        if (at, name) == (when, part):
            raise Crash

    world.boundary = crash
    with pytest.raises(Crash):
        remove(world.process(), APP)
    world.boundary = lambda at, name: None
    assert world.served() is None or (part, when) == ("traffic", "before")
    if (part, when) == ("records", "acted"):
        expect_removed(world)
        return
    assert apps(world.process()).apps[0].removing
    assert f"the removal of {APP} was interrupted: deployctl remove {APP}" in status(world.process(), APP, "").problems
    following(world)
    expect_removed(world)
    expect_other(world)


def test_a_crash_at_any_call_leaves_the_other_app_alone(stage: Stage) -> None:
    world = stage.world(two_apps)
    world.faults.arm(None)
    remove(world.process(), APP)
    count = len(world.faults.calls)
    for number in range(0, count, 3):
        world = stage.world(two_apps)
        world.faults.arm(number, Crash(), after=number % 2 == 1)
        with pytest.raises(Crash):
            remove(world.process(), APP)
        world.faults.arm(None)
        assert served_by_the_other(world), number
        world.supply.context = "sha256:of the other"
        release(world.process(), other_config(world), "v2")  # repairs the proxy first
        assert world.served() in (None, "v2"), number
        if APP in world.process().ledger.apps():
            remove(world.process(), APP)
        expect_removed(world)


def test_an_error_at_any_call_can_be_repeated(stage: Stage) -> None:
    world = stage.world(two_apps)
    world.faults.arm(None)
    remove(world.process(), APP)
    calls = list(world.faults.calls)
    for number, call in enumerate(calls):
        if not call.startswith(("workloads.", "images.")):
            continue
        world = stage.world(two_apps)
        world.faults.arm(number, EngineError("the engine refused"))
        with pytest.raises(EngineError) as caught:
            remove(world.process(), APP)
        world.faults.arm(None)
        if world.process().ledger.removal(APP) is not None:
            assert caught.value.message == "mymodel is not removed completely: the engine refused"
            assert caught.value.hint == "then repeat: deployctl remove mymodel"
        remove(world.process(), APP)
        expect_removed(world)
        expect_other(world)


def test_a_signal_shortens_the_wait_and_nothing_else(world: World) -> None:
    two_apps(world)
    world.proxy.open[APP, "green"] = 1
    services = world.process()
    services.interrupts = Pending()  # type: ignore[assignment]
    done = remove(services, APP)
    assert done.cut == 1
    assert world.time < 1.5
    expect_removed(world)


class Pending:
    """Interrupts of a process that got a signal after it had begun."""

    pending = True

    def check(self) -> None:
        return

    disarm = check
