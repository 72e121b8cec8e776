"""Schedules of systemd: exact units, and files in a folder; no systemd runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.adapters.systemd import units
from orchestrator.adapters.systemd.timer import Timer
from orchestrator.domain.watch.schedule import Job
from orchestrator.domain.watch.schedule_texts import arguments
from orchestrator.errors import HostError
from tests.unit.schedules import COMMAND, ENVIRONMENT, JOB, MARKER, NASTY, PATH, WORDS, WRITTEN, Machine, Programs


def test_the_units_of_systemd() -> None:
    assert units.service(JOB, WORDS, {"PATH": PATH, "A": 'b $c %d "e"'}, system=True) == (
        f"{WRITTEN}\n{MARKER}\n[Unit]\nDescription=One pass of deployctl's watchdog over mymodel\n"
        "After=docker.service\n\n"
        f"[Service]\nType=oneshot\nEnvironment=PATH={PATH}\n"
        'Environment="A=b $c %%d \\"e\\""\n'
        f"ExecStart={COMMAND}\nSuccessExitStatus=75\n"
    )
    assert "docker.service" not in units.service(JOB, WORDS, {}, system=False)
    assert units.timer(Job("mymodel", "/s", "/f", 10)) == (
        f"{WRITTEN}\n[Unit]\nDescription=deployctl's watchdog over mymodel\n\n"
        "[Timer]\nOnActiveSec=1s\nOnUnitActiveSec=10s\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    here = shutil.which("true")
    assert here is not None
    job = Job("mymodel", "/state dir", NASTY, 10)
    words = arguments((here,), job)
    files = [tmp_path / f"deployctl-mymodel.{end}" for end in ("service", "timer")]
    files[0].write_text(units.service(job, words, {**ENVIRONMENT, "A": 'b $c %d "e" \\'}, system=False))
    files[1].write_text(units.timer(job))
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    files[1].write_text(units.timer(job).replace("=10s", "=soon"))
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert "soon" in done.stderr, "it checks the units that it is given"


def test_a_timer(machine: Machine, programs: Programs) -> None:
    place, job = (
        Timer(machine, own=False, folder=machine.folder / "units", booted=machine.folder / "booted"),
        Job("mymodel", "/s", "/f", 10),
    )
    words = arguments(("/bin/true",), job)
    assert place.find("mymodel") is None
    assert place.install(job, words, ENVIRONMENT)
    assert programs.asked == [
        "systemctl daemon-reload",
        "systemctl enable deployctl-mymodel.timer",
        "systemctl restart deployctl-mymodel.timer",
    ]
    service = ((machine.folder / "units") / "deployctl-mymodel.service").read_text()
    assert service == units.service(job, words, ENVIRONMENT, system=True)
    assert ((machine.folder / "units") / "deployctl-mymodel.timer").read_text() == units.timer(job)
    found = place.find("mymodel")
    assert found is not None and found.serves(job) and found.every == 10
    assert not place.install(job, words, ENVIRONMENT)
    programs.answers = {"systemctl is-active deployctl-mymodel.timer": (3, "inactive")}
    assert place.trouble("mymodel") == "the timer does not run: systemctl start deployctl-mymodel.timer"
    assert place.install(job, words, ENVIRONMENT), "a timer that was stopped is started again"
    programs.asked.clear()
    place.remove("mymodel")
    assert programs.asked == ["systemctl disable --now deployctl-mymodel.timer", "systemctl daemon-reload"]
    assert list((machine.folder / "units").iterdir()) == []


def test_a_timer_of_the_user(machine: Machine, programs: Programs) -> None:
    Timer(machine, own=True, booted=machine.folder / "booted").install(JOB, WORDS, ENVIRONMENT)
    assert (machine.folder / ".config/systemd/user/deployctl-mymodel.timer").exists()
    assert {command.split()[1] for command in programs.asked} == {"--user"}


def test_systemd_refuses_and_the_units_are_removed(machine: Machine, programs: Programs) -> None:
    place = Timer(machine, own=False, folder=machine.folder / "units", booted=machine.folder / "booted")
    programs.answers = {"systemctl enable deployctl-mymodel.timer": (1, "Failed to connect to bus")}
    with pytest.raises(HostError, match="Failed to connect to bus"):
        place.install(JOB, WORDS, ENVIRONMENT)
    assert list((machine.folder / "units").iterdir()) == []


def test_systemd_does_not_run(machine: Machine, programs: Programs) -> None:
    place = Timer(machine, own=False, folder=machine.folder / "units", booted=machine.folder / "booted")
    place.install(JOB, WORDS, ENVIRONMENT)
    programs.asked.clear()
    (machine.folder / "booted").rmdir()
    assert place.trouble("mymodel") == "systemd does not run on this machine, so nothing starts the watchdog"
    with pytest.raises(HostError, match="systemd does not run on this machine") as error:
        place.install(JOB, WORDS, ENVIRONMENT)
    assert "use cron" in error.value.hint
    place.remove("mymodel")
    assert (list((machine.folder / "units").iterdir()), programs.asked) == ([], [])
