"""The scheduler of a machine: cron and systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.adapters.cron.cron import CronFile, Crontab
from orchestrator.adapters.systemd.timer import Timer
from orchestrator.domain.watch.schedule import Job
from orchestrator.domain.watch.schedule_texts import arguments
from tests.unit.schedules import ENVIRONMENT, JOB, NASTY, Machine, Programs, system_scheduler


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, Programs())


def test_the_user_decides_the_place(machine: Machine, tmp_path: Path) -> None:
    user = system_scheduler(machine)
    other = Machine(tmp_path / "root", Programs())
    other.root = True
    root = system_scheduler(other)
    assert [user.choose(systemd=s, user=u) for s, u in ((False, False), (False, True), (True, False))] == [
        "crontab", "crontab", "systemd --user",
    ]  # fmt: skip
    choices = [root.choose(systemd=s, user=u) for s, u in ((False, False), (False, True), (True, False), (True, True))]
    assert choices == ["cron.d", "crontab", "systemd", "systemd --user"]


@pytest.mark.parametrize("path", [NASTY, "/srv/x #y", "/srv/%", "/srv/watchdog run #", "/srv/a  b"])
@pytest.mark.parametrize("every", [60, 3600, 86400])
def test_unusual_paths_are_read_back_unchanged(machine: Machine, path: str, every: int) -> None:
    job = Job("mymodel", "/var/lib/deployctl", path, every)
    for place in (
        CronFile(machine, machine.folder / "cron.d"),
        Crontab(machine),
        Timer(machine, own=True, booted=machine.folder / "booted"),
    ):
        place.install(job, arguments(("/bin/true",), job), ENVIRONMENT)
        entry = place.find("mymodel")
        assert entry is not None and entry.serves(job)
        assert (entry.every, entry.enabled, entry.missing) == (every, True, False)


def test_every_place_is_searched(machine: Machine) -> None:
    scheduler = system_scheduler(machine)
    changed, notes = scheduler.install(JOB, "crontab")
    assert (changed, notes) == (True, ())
    scheduler.install(JOB, "systemd --user")
    entries = scheduler.entries("mymodel")
    assert [entry.kind for entry in entries] == ["crontab", "systemd --user"]
    assert scheduler.entries("other") == ()
    for entry in entries:
        scheduler.remove(entry)
    assert scheduler.entries("mymodel") == ()
