"""install, uninstall and status of the watchdog's schedule, with fakes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.render import watchdog as render
from orchestrator.domain.moments import iso
from orchestrator.domain.watch.passes import Pass
from orchestrator.domain.watch.schedule import Entry
from orchestrator.errors import UsageError
from orchestrator.reports.catalog import report_schema
from orchestrator.reports.serialize import document
from orchestrator.reports.watchdog import ScheduleReport, WatchdogReport, watchdog_status
from orchestrator.watch.schedule import Installed, install, uninstall
from tests.fakes.world import APP, World
from tests.unit.reports.conforming import conforms


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.ledger.app_number(APP)  # records the app, which passes refer to
    yield world
    world.close()


def installed(world: World, every: str = "1m", *, file: str = "/f", **options: bool) -> Installed:
    chosen = {"systemd": False, "user": False, "force": False, **options}
    return install(world.services, world.config(), file, every, **chosen)


def look(world: World) -> WatchdogReport:
    return watchdog_status(world.services, world.config(), "/f")


def passed(world: World, outcome: Any = "healthy", *messages: str, ago: float = 0) -> None:
    at = iso((world.now() - timedelta(seconds=ago)).astimezone(UTC))
    world.ledger.record_pass(APP, Pass(at, 0.25, outcome, messages), {}, {f"pass:{outcome}": 1})


def test_installing_twice_changes_nothing(world: World) -> None:
    first = installed(world)
    assert first.changed and first.entry.kind == "cron.d" and first.entry.every == 60
    assert first.entry.state_dir == str(world.folder)
    assert not installed(world).changed
    assert installed(world, "5m").changed
    assert [entry.every for entry in world.scheduler.installed] == [300]


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_others_can_change_gets_no_schedule(world: World, force: bool) -> None:
    world.services.host.exposed["/f"] = "every user can write to /f"  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="so the schedule could run their commands: every user can write to /f"):
        installed(world, force=force)
    assert world.scheduler.installed == []


def test_installing_in_another_place_removes_the_old_schedule(world: World) -> None:
    installed(world)
    moved = installed(world, systemd=True, user=True)
    assert [entry.kind for entry in moved.removed] == ["cron.d"]
    assert [entry.kind for entry in world.scheduler.installed] == ["systemd --user"]
    assert "enable-linger" in moved.notes[0]


def test_a_schedule_for_another_file_is_refused(world: World) -> None:
    installed(world, file="/other")
    with pytest.raises(UsageError) as error:
        installed(world)
    assert error.value.why == f"it is for /other, with the state folder {world.folder}"
    assert "--force" in error.value.hint
    assert installed(world, force=True).changed
    assert [entry.file for entry in world.scheduler.installed] == ["/f"]


def test_a_schedule_with_an_unknown_state_folder_is_refused(world: World) -> None:
    world.scheduler.installed = [Entry("cron.d", "/etc/cron.d/x", APP)]
    with pytest.raises(UsageError, match="its state folder is unknown"):
        installed(world)


def test_another_place_may_have_a_schedule_for_another_file(world: World) -> None:
    installed(world, file="/other", user=True)
    assert installed(world).changed
    assert [(entry.kind, entry.file) for entry in world.scheduler.installed] == [
        ("crontab", "/other"),
        ("cron.d", "/f"),
    ]


def test_a_cron_that_does_not_run_is_reported(world: World) -> None:
    world.scheduler.broken = {"cron.d": "cron does not run here"}
    assert installed(world).notes == ["cron does not run here"]


def test_a_relative_file_becomes_absolute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    assert installed(world, file="deploy.toml").entry.file == f"{world.folder}/deploy.toml"


def test_uninstall_removes_only_own_schedules_without_force(world: World) -> None:
    installed(world)
    installed(world, file="/other", user=True)
    done = uninstall(world.services, world.config(), "/f", force=False)
    assert [entry.kind for entry in done.removed] == ["cron.d"]
    assert [entry.kind for entry in done.left] == ["crontab"]
    done = uninstall(world.services, world.config(), "/f", force=False)
    assert done.removed == []
    done = uninstall(world.services, world.config(), "/f", force=True)
    assert [entry.kind for entry in done.removed] == ["crontab"]
    assert world.scheduler.installed == []


def test_status_without_a_schedule(world: World) -> None:
    report = look(world)
    assert (report.schedules, report.next, report.passes, report.problems) == ((), None, (), ())
    assert report.counts["pass:healthy"] == 0
    assert render.watchdog(report).splitlines() == [
        "schedule   none: deployctl watchdog install",
        "pass       none yet",
        "counts     none yet",
    ]


def test_status_of_a_healthy_schedule(world: World) -> None:
    installed(world)
    passed(world, ago=70)
    passed(world, "acted", "started mymodel-v1-blue-1", ago=10)
    world.ledger.count(APP, "healed")
    report = look(world)
    assert report.problems == ()
    assert report.next == "2031-05-06T07:09:00.000Z"
    assert [each.outcome for each in report.passes] == ["acted", "healthy"]
    assert report.schedules == (
        ScheduleReport(
            kind="cron.d",
            place=f"cron.d of {APP}",
            every=60,
            enabled=True,
            ours=True,
            state_dir=str(world.folder),
            file="/f",
        ),
    )
    assert conforms(document(report), report_schema("watchdog status")) == []
    assert render.watchdog(report).splitlines() == [
        f"schedule   every 1m, by cron.d of {APP}",
        "next       2031-05-06 07:09:00 UTC",
        "pass       2031-05-06 07:07:59 UTC acted, 0.2 s: started mymodel-v1-blue-1",
        "pass       2031-05-06 07:06:59 UTC healthy, 0.2 s",
        "counts     healthy 1, acted 1, healed 1",
    ]


def test_missing_passes_are_a_problem(world: World) -> None:
    installed(world)
    passed(world, ago=180)
    assert look(world).problems == ()
    world.time += 1
    assert look(world).problems == ("no pass for 3m, and one is due every 1m",)


def test_every_problem_is_reported(world: World) -> None:
    world.scheduler.broken = {"cron.d": "cron does not run here"}
    since = world.now() - timedelta(days=3)
    world.scheduler.installed = [
        Entry("cron.d", "/x", APP, str(world.folder), "/f", 60, False, since, "/gone/deployctl", True)
    ]
    passed(world, "degraded", "no version to go back to", ago=4000)
    report = look(world)
    assert report.problems == (
        "the schedule in /x is disabled, or cannot be read: deployctl watchdog install",
        "the schedule in /x starts /gone/deployctl, which does not exist: deployctl watchdog install",
        "cron does not run here",
        "no pass for 66m, and one is due every 1m",
        "the last pass found problems that it could not fix: no version to go back to",
    )
    assert report.next is None


def test_a_schedule_for_another_file_is_shown_without_problems(world: World) -> None:
    installed(world, file="/other")
    world.scheduler.broken = {"cron.d": "cron does not run here"}
    report = look(world)
    assert (report.problems, report.next) == ((), None)
    assert [schedule.ours for schedule in report.schedules] == [False]
    assert "another state folder or file: /other" in render.watchdog(report)
