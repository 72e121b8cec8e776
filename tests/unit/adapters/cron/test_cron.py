"""Schedules of cron: exact texts, and files in a folder; no cron runs."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from orchestrator.adapters.cron import texts
from orchestrator.adapters.cron.cron import CronFile, Crontab
from orchestrator.domain.watch.schedule import Entry, Job
from orchestrator.domain.watch.schedule_texts import arguments
from orchestrator.errors import HostError, UsageError
from tests.unit.schedules import (
    COMMAND,
    ENVIRONMENT,
    JOB,
    MARKER,
    NASTY,
    OTHERS,
    PATH,
    WORDS,
    WRITTEN,
    Machine,
    Programs,
)


def test_the_file_of_cron_d() -> None:
    variables = {**ENVIRONMENT, "DEPLOYCTL_X": "a b", "DOCKER_HOST": "unix:///run/other.sock"}
    assert texts.cron_file(JOB, WORDS, variables, "root") == (
        f"{WRITTEN}\n{MARKER}\nSHELL=/bin/sh\nPATH={PATH}\nHOME=/root\n"
        'DEPLOYCTL_X="a b"\nDOCKER_HOST=unix:///run/other.sock\n'
        f"* * * * * root {COMMAND}\n"
    )


def test_the_entry_of_a_crontab() -> None:
    assert texts.crontab_entry(JOB, WORDS, {"PATH": PATH, "A": "b c"}) == [
        MARKER,
        f"* * * * * /usr/bin/env PATH={PATH} 'A=b c' {COMMAND}",
    ]


def test_a_shell_gets_back_what_was_quoted(tmp_path: Path) -> None:
    job = Job("mymodel", "/state dir", NASTY, 60)
    words = arguments(("printf", "%s\\n"), job)
    line = texts.cron_command(words, {"A": "b'c"})
    assert "%" not in line.replace("\\%", ""), "cron would end the command there"
    # What cron does before the shell sees it.
    done = subprocess.run(["/bin/sh", "-c", line.replace("\\%", "%")], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(words[2:])


def test_what_is_too_long_for_cron_is_refused() -> None:
    with pytest.raises(UsageError, match="too long for cron"):
        texts.cron_command(("x" * 1000,))
    with pytest.raises(UsageError, match="DEPLOYCTL_X is too long for cron"):
        texts.cron_file(JOB, WORDS, {"DEPLOYCTL_X": "x" * 1000}, "root")
    with pytest.raises(UsageError, match="both kinds of quotes"):
        texts.cron_file(JOB, WORDS, {"DEPLOYCTL_X": "'\""}, "root")


@pytest.mark.parametrize("before", [OTHERS, OTHERS + "\n", OTHERS + "\n\n\n", "", "\n", "a\r\nb\u2028c\x0b\n"])
def test_other_entries_stay_byte_for_byte(before: str) -> None:
    entry = texts.crontab_entry(JOB, WORDS, {})
    with_ours = texts.splice(before, "mymodel", entry)
    ended = before + ("\n" if before and not before.endswith("\n") else "")
    assert with_ours == ended + "\n".join(entry) + "\n"
    assert texts.splice(with_ours, "mymodel", entry) == with_ours
    assert texts.splice(with_ours, "mymodel", None) == ended
    assert texts.splice(before, "mymodel", None) == before


def test_an_entry_is_replaced_where_it_stands() -> None:
    entry = texts.crontab_entry(JOB, WORDS, {})
    other = texts.crontab_entry(Job("mymodel2", "/s", "/f", 60), ("other", "watchdog run"), {})
    text = "\n".join(["# mine", *entry, *other, "@daily mine", ""])
    assert texts.splice(text, "mymodel", ["new", "lines"]) == "\n".join(
        ["# mine", "new", "lines", *other, "@daily mine", ""]
    )
    assert texts.splice(text, "mymodel2", None) == "\n".join(["# mine", *entry, "@daily mine", ""])


def test_a_line_that_is_not_ours_is_refused() -> None:
    text = f"{MARKER}\n@daily mine\n"
    for entry in (None, ["new", "lines"]):
        with pytest.raises(HostError, match="not deployctl's"):
            texts.splice(text, "mymodel", entry)
    assert texts.splice(f"{MARKER}\n", "mymodel", None) == ""


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_file_in_cron_d(machine: Machine, umask: int) -> None:
    place = CronFile(machine, machine.folder / "cron.d")
    assert place.find("mymodel") is None
    before = os.umask(umask)
    try:
        assert place.install(JOB, WORDS, ENVIRONMENT)
    finally:
        os.umask(before)
    path = (machine.folder / "cron.d") / "deployctl-mymodel"
    assert path.read_text() == texts.cron_file(JOB, WORDS, ENVIRONMENT, "somebody")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert not place.install(JOB, WORDS, ENVIRONMENT), "the second time nothing changes"
    found = place.find("mymodel")
    assert found is not None and found.serves(JOB) and found.since is not None
    assert (found.kind, found.place, found.every, found.enabled) == ("cron.d", str(path), 60, True)
    assert (found.program, found.missing) == ("/opt/deployctl/bin/deployctl", True)
    place.remove("mymodel")
    place.remove("mymodel")
    assert list((machine.folder / "cron.d").iterdir()) == []


def test_a_file_in_cron_d_of_another_author(machine: Machine) -> None:
    ((machine.folder / "cron.d") / "deployctl-mymodel").write_text("* * * * * root my own words\n")
    found = CronFile(machine, machine.folder / "cron.d").find("mymodel")
    assert found == Entry("cron.d", str((machine.folder / "cron.d") / "deployctl-mymodel"), "mymodel")
    assert not found.serves(JOB)


@pytest.mark.parametrize(
    ("line", "every", "enabled"),
    [
        ("*/5 * * * *", 300, True),
        ("7 3 * * *", None, True),
        ("#* * * * *", 60, False),
        ("99 * * * *", None, False),
        ("*/0 * * * *", None, False),
        ("*/ * * * *", None, False),
        ("X= \udce9", None, False),
        ("", None, False),
    ],
)
def test_an_entry_that_was_edited(
    machine: Machine, line: str, every: int | None, enabled: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    place, path = CronFile(machine, machine.folder / "cron.d"), (machine.folder / "cron.d") / "deployctl-mymodel"
    place.install(JOB, WORDS, ENVIRONMENT)
    path.write_text(path.read_text().replace("* * * * *", line), errors="surrogateescape")
    found = place.find("mymodel")
    assert found is not None and (found.every, found.enabled) == (every, enabled)
    assert capfd.readouterr() == ("", "")


def test_cron_is_not_installed(machine: Machine) -> None:
    (machine.folder / "cron.d").rmdir()
    with pytest.raises(HostError, match="there is no folder") as error:
        CronFile(machine, machine.folder / "cron.d").install(JOB, WORDS, ENVIRONMENT)
    assert "apt-get install cron" in error.value.hint
    Path(machine.folder, "bin/crontab").unlink()
    assert Crontab(machine).find("mymodel") is None
    with pytest.raises(HostError, match="there is no program crontab"):
        Crontab(machine).install(JOB, WORDS, ENVIRONMENT)


def test_cron_does_not_run(machine: Machine) -> None:
    place = CronFile(machine, machine.folder / "cron.d")
    assert place.trouble("mymodel") is None
    ((machine.folder / "proc") / "17/comm").write_text("cronlike\n")
    assert "cron does not run" in (place.trouble("mymodel") or "")


def test_a_crontab(machine: Machine, programs: Programs) -> None:
    place = Crontab(machine)
    others = OTHERS.encode() + b"\n# caf\xe9, in Latin-1\n"
    programs.crontab = others
    assert place.find("mymodel") is None
    assert place.install(JOB, WORDS, ENVIRONMENT)
    entry = texts.crontab_entry(JOB, WORDS, {"PATH": PATH})
    assert programs.crontab == others + "\n".join(entry).encode() + b"\n"
    assert not place.install(JOB, WORDS, ENVIRONMENT)
    found = place.find("mymodel")
    assert found is not None and found.serves(JOB) and found.every == 60
    assert found.place == "the crontab of somebody"
    place.remove("mymodel")
    assert programs.crontab == others


def test_a_crontab_that_did_not_exist_is_removed_again(machine: Machine, programs: Programs) -> None:
    place = Crontab(machine)
    place.install(JOB, WORDS, ENVIRONMENT)
    assert programs.crontab is not None
    place.remove("mymodel")
    assert programs.crontab is None


def test_crontab_refuses(machine: Machine, programs: Programs) -> None:
    place = Crontab(machine)
    programs.answers = {"crontab -": (1, "You (somebody) are not allowed to use this program (crontab)")}
    with pytest.raises(HostError, match="not allowed"):
        place.install(JOB, WORDS, ENVIRONMENT)
    programs.answers = {"crontab -l": (1, "You (somebody) are not allowed to use this program (crontab)")}
    assert place.find("mymodel") is None
    programs.answers = {"crontab -l": (1, "disk on fire")}
    with pytest.raises(HostError, match="disk on fire"):
        place.find("mymodel")
