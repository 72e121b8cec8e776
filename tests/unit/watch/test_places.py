"""All places of a machine behind one scheduler."""

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


def test_who_asks_decides_where_it_goes(machine: Machine, tmp_path: Path) -> None:
    somebody = system_scheduler(machine)
    other = Machine(tmp_path / "root", Programs())
    other.root = True
    root = system_scheduler(other)
    assert [somebody.choose(systemd=s, user=u) for s, u in ((False, False), (False, True), (True, False))] == [
        "crontab", "crontab", "systemd --user",
    ]  # fmt: skip
    choices = [root.choose(systemd=s, user=u) for s, u in ((False, False), (False, True), (True, False), (True, True))]
    assert choices == ["cron.d", "crontab", "systemd", "systemd --user"]


@pytest.mark.parametrize("path", [NASTY, "/srv/x #y", "/srv/%", "/srv/watchdog run #", "/srv/a  b"])
@pytest.mark.parametrize("every", [60, 3600, 86400])
def test_odd_paths_come_back_as_they_were(machine: Machine, path: str, every: int) -> None:
    job = Job("mymodel", "/var/lib/deployctl", path, every)
    for place in (
        CronFile(machine, machine.folder / "cron.d"),
        Crontab(machine),
        Timer(machine, own=True, booted=machine.folder / "booted"),
    ):
        place.install(job, arguments(("/bin/true",), job), ENVIRONMENT)
        found = place.find("mymodel")
        assert found is not None and found.serves(job)
        assert (found.every, found.enabled, found.missing) == (every, True, False)


def test_every_place_is_searched(machine: Machine) -> None:
    scheduler = system_scheduler(machine)
    changed, notes = scheduler.install(JOB, "crontab")
    assert (changed, notes) == (True, ())
    scheduler.install(JOB, "systemd --user")
    found = scheduler.entries("mymodel")
    assert [entry.kind for entry in found] == ["crontab", "systemd --user"]
    assert scheduler.entries("other") == ()
    for entry in found:
        scheduler.remove(entry)
    assert scheduler.entries("mymodel") == ()
