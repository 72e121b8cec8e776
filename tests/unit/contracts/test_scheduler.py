"""The contract of `Scheduler`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.watch.schedule import KINDS, Kind
from orchestrator.ports.scheduler import Scheduler
from tests.fakes.outside import FakeScheduler
from tests.unit.schedules import JOB, Machine, Programs, system_scheduler


@pytest.fixture(params=["fake", "real"])
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Scheduler:
    if request.param == "real":
        return system_scheduler(Machine(tmp_path, Programs()))
    fake = FakeScheduler()
    fake.root = False
    return fake


def test_the_user_gets_places_of_the_user(scheduler: Scheduler) -> None:
    chosen = [scheduler.choose(systemd=systemd, user=False) for systemd in (False, True)]
    assert chosen == ["crontab", "systemd --user"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_schedule_is_there_from_install_to_remove(scheduler: Scheduler, kind: Kind) -> None:
    assert scheduler.entries(JOB.app) == ()
    assert scheduler.install(JOB, kind) == (True, ())
    assert scheduler.install(JOB, kind) == (False, ())
    [entry] = scheduler.entries(JOB.app)
    assert (entry.kind, entry.every, entry.enabled) == (kind, JOB.every, True)
    assert entry.serves(JOB)
    assert scheduler.trouble(kind, JOB.app) is None
    assert scheduler.entries("other") == ()
    for _ in range(2):
        scheduler.remove(entry)
        assert scheduler.entries(JOB.app) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_another_interval_replaces_the_schedule(scheduler: Scheduler, kind: Kind) -> None:
    scheduler.install(JOB, kind)
    assert scheduler.install(replace(JOB, every=300), kind)[0]
    assert [entry.every for entry in scheduler.entries(JOB.app)] == [300]
