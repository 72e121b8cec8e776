"""Intervals, the texts of a schedule, and where they go. Exact texts; folders that look like a machine; no cron."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orchestrator.adapters.cron import texts
from orchestrator.adapters.cron.cron import CronFile, Crontab
from orchestrator.adapters.cron.environment import environment, program
from orchestrator.adapters.cron.machine import Machine, run
from orchestrator.adapters.cron.scheduler import SystemScheduler
from orchestrator.adapters.systemd.timer import Timer
from orchestrator.domain.watch.schedule import (
    Entry,
    Job,
    cron_fields,
    interval,
    last_pass,
    next_due,
    overdue,
    read_every,
    write_every,
)
from orchestrator.errors import UsageError

JOB = Job("mymodel", "/var/lib/deployctl", "/srv/mymodel/deploy.toml", 60)
WORDS = texts.arguments(("/opt/deployctl/bin/deployctl",), JOB)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root"}
MARKER = (
    '# deployctl-mymodel {"state_dir": "/var/lib/deployctl", "file": "/srv/mymodel/deploy.toml",'
    ' "program": "/opt/deployctl/bin/deployctl"}'
)
COMMAND = "/opt/deployctl/bin/deployctl --state-dir /var/lib/deployctl -f /srv/mymodel/deploy.toml watchdog run"
WRITTEN = "# Written by 'deployctl watchdog install'; 'deployctl watchdog uninstall' takes it away."
# Everything that some reader of a line takes for more than a letter.
NASTY = "/srv/a b%c#d #e\"f'g\\h$i`j;k/ü/deploy.toml"
OTHERS = (
    "# m h dom mon dow command\n"
    'MAILTO = "me@example.com"\n'
    "*/5  *  * * *   /usr/bin/backup   --all   # nightly\n"
    "\n"
    "#* * * * * switched   off\n"
    "0 0 * * *\t/usr/bin/midnight\\%x\n"
    "@reboot /usr/bin/once"
)

# --- intervals ---------------------------------------------------------------------------------------------------

FIELDS = {
    "1m": "* * * * *",
    "60s": "* * * * *",
    "2m": "*/2 * * * *",
    "30m": "*/30 * * * *",
    "60m": "0 * * * *",
    "1h": "0 * * * *",
    "8h": "0 */8 * * *",
    "24h": "0 0 * * *",
    "1d": "0 0 * * *",
}


@pytest.mark.parametrize(("text", "fields"), FIELDS.items())
def test_what_cron_can_do(text: str, fields: str) -> None:
    seconds = read_every(text, seconds=False)
    assert cron_fields(seconds) == fields
    assert interval(fields) == seconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("7m", "--every 6m or --every 10m; --systemd can do any"),
        ("45m", "--every 30m or --every 1h; --systemd can do any"),
        ("90s", "--every 1m or --every 2m; --systemd can do any"),
        ("5h", "--every 4h or --every 6h; --systemd can do any"),
        ("10s", "deployctl watchdog install --systemd --every 10s, or deployctl watchdog run --loop 10s"),
        ("25h", "24h is the longest"),
        ("0m", "deployctl watchdog install --every 5m"),
        ("5", "deployctl watchdog install --every 5m"),
        ("-1m", "deployctl watchdog install --every 5m"),
        ("often", "deployctl watchdog install --every 5m"),
        ("", "deployctl watchdog install --every 5m"),
    ],
)
def test_what_cron_cannot_do(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        read_every(text, seconds=False)
    assert error.value.hint == hint


def test_a_timer_can_do_seconds() -> None:
    assert [read_every(text, seconds=True) for text in ("10s", "7m", "1m30s", "1s")] == [10, 420, 90, 1]


def test_intervals_as_people_write_them() -> None:
    assert [write_every(seconds) for seconds in (10, 60, 90, 300, 3600, 86400)] == [
        "10s", "1m", "90s", "5m", "1h", "24h",
    ]  # fmt: skip


HERE = timezone(timedelta(hours=5, minutes=45))


@pytest.mark.parametrize(
    ("every", "now", "due"),
    [
        (60, "10:00:00", "10:01:00"),
        (60, "10:00:59", "10:01:00"),
        (300, "10:04:59", "10:05:00"),
        (300, "10:05:00", "10:10:00"),
        (1800, "10:31:00", "11:00:00"),
        (3600, "10:31:00", "11:00:00"),
        (8 * 3600, "10:31:00", "16:00:00"),
    ],
)
def test_when_cron_is_due_by_the_local_clock(every: int, now: str, due: str) -> None:
    for kind in ("cron.d", "crontab"):
        at = datetime.fromisoformat(f"2031-05-06T{now}").replace(tzinfo=HERE)
        assert next_due(kind, every, at, None) == datetime.fromisoformat(f"2031-05-06T{due}").replace(tzinfo=HERE)  # type: ignore[arg-type]


def test_after_the_last_one_of_a_day_cron_is_due_at_midnight() -> None:
    late = datetime(2031, 12, 31, 23, 59, 30, tzinfo=HERE)
    for every in (60, 86400):
        assert next_due("cron.d", every, late, late) == datetime(2032, 1, 1, tzinfo=HERE)


def test_a_timer_counts_from_the_last_pass() -> None:
    now = datetime(2031, 5, 6, 10, 0, 0, tzinfo=UTC)
    assert next_due("systemd", 10, now, now - timedelta(seconds=4)) == now + timedelta(seconds=6)
    assert next_due("systemd", 10, now, now - timedelta(seconds=40)) == now
    assert next_due("systemd --user", 10, now, None) == now
    assert last_pass([]) is None


def test_what_is_overdue() -> None:
    now = datetime(2031, 5, 6, 10, 0, 0, tzinfo=UTC)

    def ago(seconds: int) -> datetime:
        return now - timedelta(seconds=seconds)

    assert overdue(60, now, ago(180), None) is None
    assert overdue(60, now, ago(181), None) == timedelta(seconds=181)
    assert overdue(60, now, ago(9999), ago(100)) is None, "it was installed only just now"
    assert overdue(60, now, None, ago(200)) == timedelta(seconds=200)
    assert overdue(60, now, None, None) is None


# --- texts -------------------------------------------------------------------------------------------------------


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


def test_the_units_of_systemd() -> None:
    assert texts.service(JOB, WORDS, {"PATH": PATH, "A": 'b $c %d "e"'}, system=True) == (
        f"{WRITTEN}\n{MARKER}\n[Unit]\nDescription=One pass of deployctl's watchdog over mymodel\n"
        "After=docker.service\n\n"
        f"[Service]\nType=oneshot\nEnvironment=PATH={PATH}\n"
        'Environment="A=b $c %%d \\"e\\""\n'
        f"ExecStart={COMMAND}\nSuccessExitStatus=75\n"
    )
    assert "docker.service" not in texts.service(JOB, WORDS, {}, system=False)
    assert texts.timer(Job("mymodel", "/s", "/f", 10)) == (
        f"{WRITTEN}\n[Unit]\nDescription=deployctl's watchdog over mymodel\n\n"
        "[Timer]\nOnActiveSec=1s\nOnUnitActiveSec=10s\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
    )


def test_a_shell_gets_back_what_was_quoted(tmp_path: Path) -> None:
    job = Job("mymodel", "/state dir", NASTY, 60)
    words = texts.arguments(("printf", "%s\\n"), job)
    line = texts.cron_command(words, {"A": "b'c"})
    assert "%" not in line.replace("\\%", ""), "cron would end the command there"
    # What cron does before the shell sees it.
    done = subprocess.run(["/bin/sh", "-c", line.replace("\\%", "%")], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == list(words[2:])


@pytest.mark.parametrize("path", ["/srv/a\nb", "/srv/a\rb", "/srv/\x1b[0m", "/srv/a\x00b", "/srv/\udcff"])
def test_a_path_that_would_break_the_line_is_refused(path: str) -> None:
    for job in (Job("mymodel", path, "/f", 60), Job("mymodel", "/s", path, 60)):
        with pytest.raises(UsageError, match="cannot be written into a schedule"):
            texts.arguments(("deployctl",), job)


def test_what_cron_would_cut_off_is_refused() -> None:
    with pytest.raises(UsageError, match="too long for cron"):
        texts.cron_command(("x" * 1000,))
    with pytest.raises(UsageError, match="DEPLOYCTL_X is too long for cron"):
        texts.cron_file(JOB, WORDS, {"DEPLOYCTL_X": "x" * 1000}, "root")
    with pytest.raises(UsageError, match="both kinds of quotes"):
        texts.cron_file(JOB, WORDS, {"DEPLOYCTL_X": "'\""}, "root")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    here = shutil.which("true")
    assert here is not None
    job = Job("mymodel", "/state dir", NASTY, 10)
    words = texts.arguments((here,), job)
    units = [tmp_path / f"deployctl-mymodel.{end}" for end in ("service", "timer")]
    units[0].write_text(texts.service(job, words, {**ENVIRONMENT, "A": 'b $c %d "e" \\'}, system=False))
    units[1].write_text(texts.timer(job))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    units[1].write_text(texts.timer(job).replace("=10s", "=soon"))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert "soon" in done.stderr, "it looks at what it is given"


# --- the environment ---------------------------------------------------------------------------------------------


def test_the_environment_of_a_pass() -> None:
    given = {
        "PATH": "/home/me/bin",
        "HOME": "/home/me",
        "LANG": "C",
        "PYTHONPATH": "/src",
        "DOCKER_HOST": "unix:///run/other.sock",
        "DEPLOYCTL_ENGINE_TIMEOUT": "5",
        "DEPLOYCTL_EMPTY": "",
        **{f"DEPLOYCTL_{end}": "1" for end in ("FILE", "STATE_DIR", "JSON", "QUIET", "NO_COLOR")},
        "DEPLOYCTL_NOTIFY_URLS": "slack://secret",
        "DEPLOYCTL_HUB_TOKEN": "secret",
    }
    programs = {"docker": "/opt/docker/bin/docker", "git": "/usr/bin/git"}
    kept, notes = environment(given, programs.get, "/root", module=False)
    assert kept == {
        "PATH": f"/opt/docker/bin:{PATH}",
        "HOME": "/root",
        "DEPLOYCTL_ENGINE_TIMEOUT": "5",
        "DOCKER_HOST": "unix:///run/other.sock",
    }
    assert notes == [
        "DEPLOYCTL_HUB_TOKEN is not written into the schedule, which others may read: use deploy.toml",
        "DEPLOYCTL_NOTIFY_URLS is not written into the schedule, which others may read:"
        " notify.urls_file names a file for it",
    ]
    assert environment(given, {}.get, "/root", module=True)[0]["PYTHONPATH"] == "/src"
    assert environment({}, {"docker": "bin/docker"}.get, "/root", module=False)[0]["PATH"] == PATH


def test_the_program_of_a_pass() -> None:
    there = {Path("/venv/bin/deployctl"), Path("/usr/bin/deployctl")}
    assert program("/venv/bin/python", "/usr/bin/deployctl", there.__contains__) == ("/venv/bin/deployctl",)
    assert program("/usr/local/bin/python", "/usr/bin/deployctl", there.__contains__) == ("/usr/bin/deployctl",)
    module = ("/usr/local/bin/python", "-m", "orchestrator.cli.main")
    assert program("/usr/local/bin/python", "/src/orchestrator/cli/main.py", there.__contains__) == module


# --- a crontab ---------------------------------------------------------------------------------------------------


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


def test_a_line_that_is_not_ours_is_never_taken_for_ours() -> None:
    text = f"{MARKER}\n@daily mine\n"
    for entry in (None, ["new", "lines"]):
        with pytest.raises(UsageError, match="not deployctl's"):
            texts.splice(text, "mymodel", entry)
    assert texts.splice(f"{MARKER}\n", "mymodel", None) == ""


# --- a machine ---------------------------------------------------------------------------------------------------


class Programs:
    """`crontab` and `systemctl`, as far as they are asked."""

    def __init__(self) -> None:
        self.crontab: bytes | None = None
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}

    def __call__(self, command: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
        text = " ".join(command)
        self.asked.append(text)
        code, said, out = 0, "", b""
        if text == "crontab -l":
            code, said = (0, "") if self.crontab is not None else (1, "no crontab for somebody")
            out = self.crontab or b""
        elif text == "crontab -":
            self.crontab = data
        elif text == "crontab -r":
            self.crontab = None
        code, said = self.answers.get(text, (code, said))
        return subprocess.CompletedProcess(command, code, out, said.encode())


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
def machine(tmp_path: Path, programs: Programs) -> Machine:
    for folder in ("bin", "cron.d", "units", "booted", "proc/1", "proc/17", "proc/self"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/1/comm").write_text("init\n")
    (tmp_path / "proc/17/comm").write_text("cron\n")
    (tmp_path / "bin/crontab").touch(0o755)
    return Machine(
        user="somebody",
        home=str(tmp_path),
        root=False,
        cron_d=tmp_path / "cron.d",
        units=tmp_path / "units",
        booted=tmp_path / "booted",
        processes=tmp_path / "proc",
        run=programs,
        environ={"PATH": str(tmp_path / "bin")},
    )


def test_who_asks_decides_where_it_goes(machine: Machine) -> None:
    somebody = SystemScheduler(machine)
    root = SystemScheduler(Machine(user="root", home="/root", root=True))
    assert [somebody.choose(systemd=s, user=u) for s, u in ((False, False), (False, True), (True, False))] == [
        "crontab", "crontab", "systemd --user",
    ]  # fmt: skip
    choices = [root.choose(systemd=s, user=u) for s, u in ((False, False), (False, True), (True, False), (True, True))]
    assert choices == ["cron.d", "crontab", "systemd", "systemd --user"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_file_in_cron_d(machine: Machine, umask: int) -> None:
    place = CronFile(machine)
    assert place.find("mymodel") is None
    before = os.umask(umask)
    try:
        assert place.install(JOB, WORDS, ENVIRONMENT)
    finally:
        os.umask(before)
    path = machine.cron_d / "deployctl-mymodel"
    assert path.read_text() == texts.cron_file(JOB, WORDS, ENVIRONMENT, "somebody")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert not place.install(JOB, WORDS, ENVIRONMENT), "the second time nothing changes"
    found = place.find("mymodel")
    assert found is not None and found.serves(JOB) and found.since is not None
    assert (found.kind, found.place, found.every, found.enabled) == ("cron.d", str(path), 60, True)
    assert (found.program, found.missing) == ("/opt/deployctl/bin/deployctl", True)
    place.remove("mymodel")
    place.remove("mymodel")
    assert list(machine.cron_d.iterdir()) == []


def test_a_file_in_cron_d_that_somebody_wrote(machine: Machine) -> None:
    (machine.cron_d / "deployctl-mymodel").write_text("* * * * * root my own words\n")
    found = CronFile(machine).find("mymodel")
    assert found == Entry("cron.d", str(machine.cron_d / "deployctl-mymodel"), "mymodel")
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
def test_an_entry_that_somebody_changed(
    machine: Machine, line: str, every: int | None, enabled: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    place, path = CronFile(machine), machine.cron_d / "deployctl-mymodel"
    place.install(JOB, WORDS, ENVIRONMENT)
    path.write_text(path.read_text().replace("* * * * *", line), errors="surrogateescape")
    found = place.find("mymodel")
    assert found is not None and (found.every, found.enabled) == (every, enabled)
    assert capfd.readouterr() == ("", "")


def test_cron_is_not_installed(machine: Machine) -> None:
    machine.cron_d.rmdir()
    with pytest.raises(UsageError, match="there is no folder") as error:
        CronFile(machine).install(JOB, WORDS, ENVIRONMENT)
    assert "apt-get install cron" in error.value.hint
    Path(machine.home, "bin/crontab").unlink()
    assert Crontab(machine).find("mymodel") is None
    with pytest.raises(UsageError, match="there is no program crontab here"):
        Crontab(machine).install(JOB, WORDS, ENVIRONMENT)


def test_cron_does_not_run(machine: Machine) -> None:
    place = CronFile(machine)
    assert place.trouble("mymodel") is None
    (machine.processes / "17/comm").write_text("cronlike\n")
    assert "cron does not run here" in (place.trouble("mymodel") or "")


@pytest.mark.parametrize("path", [NASTY, "/srv/x #y", "/srv/%", "/srv/watchdog run #", "/srv/a  b"])
@pytest.mark.parametrize("every", [60, 3600, 86400])
def test_odd_paths_come_back_as_they_were(machine: Machine, programs: Programs, path: str, every: int) -> None:
    job = Job("mymodel", "/var/lib/deployctl", path, every)
    for place in (CronFile(machine), Crontab(machine), Timer(machine, own=True)):
        place.install(job, texts.arguments(("/bin/true",), job), ENVIRONMENT)
        found = place.find("mymodel")
        assert found is not None and found.serves(job)
        assert (found.every, found.enabled, found.missing) == (every, True, False)


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


def test_a_crontab_that_was_not_there_is_not_there_again(machine: Machine, programs: Programs) -> None:
    place = Crontab(machine)
    place.install(JOB, WORDS, ENVIRONMENT)
    assert programs.crontab is not None
    place.remove("mymodel")
    assert programs.crontab is None


def test_crontab_refuses(machine: Machine, programs: Programs) -> None:
    place = Crontab(machine)
    programs.answers = {"crontab -": (1, "You (somebody) are not allowed to use this program (crontab)")}
    with pytest.raises(UsageError, match="not allowed"):
        place.install(JOB, WORDS, ENVIRONMENT)
    programs.answers = {"crontab -l": (1, "You (somebody) are not allowed to use this program (crontab)")}
    assert place.find("mymodel") is None
    programs.answers = {"crontab -l": (1, "disk on fire")}
    with pytest.raises(UsageError, match="disk on fire"):
        place.find("mymodel")


def test_a_timer(machine: Machine, programs: Programs) -> None:
    place, job = Timer(machine, own=False), Job("mymodel", "/s", "/f", 10)
    words = texts.arguments(("/bin/true",), job)
    assert place.find("mymodel") is None
    assert place.install(job, words, ENVIRONMENT)
    assert programs.asked == [
        "systemctl daemon-reload",
        "systemctl enable deployctl-mymodel.timer",
        "systemctl restart deployctl-mymodel.timer",
    ]
    service = (machine.units / "deployctl-mymodel.service").read_text()
    assert service == texts.service(job, words, ENVIRONMENT, system=True)
    assert (machine.units / "deployctl-mymodel.timer").read_text() == texts.timer(job)
    found = place.find("mymodel")
    assert found is not None and found.serves(job) and found.every == 10
    assert not place.install(job, words, ENVIRONMENT)
    programs.answers = {"systemctl is-active deployctl-mymodel.timer": (3, "inactive")}
    assert place.trouble("mymodel") == "the timer does not run: systemctl start deployctl-mymodel.timer"
    assert place.install(job, words, ENVIRONMENT), "a timer that was stopped is started again"
    programs.asked.clear()
    place.remove("mymodel")
    assert programs.asked == ["systemctl disable --now deployctl-mymodel.timer", "systemctl daemon-reload"]
    assert list(machine.units.iterdir()) == []


def test_a_timer_of_ones_own(machine: Machine, programs: Programs) -> None:
    Timer(machine, own=True).install(JOB, WORDS, ENVIRONMENT)
    assert (Path(machine.home) / ".config/systemd/user/deployctl-mymodel.timer").exists()
    assert {command.split()[1] for command in programs.asked} == {"--user"}


def test_systemd_refuses_and_nothing_stays(machine: Machine, programs: Programs) -> None:
    place = Timer(machine, own=False)
    programs.answers = {"systemctl enable deployctl-mymodel.timer": (1, "Failed to connect to bus")}
    with pytest.raises(UsageError, match="Failed to connect to bus"):
        place.install(JOB, WORDS, ENVIRONMENT)
    assert list(machine.units.iterdir()) == []


def test_systemd_does_not_run(machine: Machine, programs: Programs) -> None:
    place = Timer(machine, own=False)
    place.install(JOB, WORDS, ENVIRONMENT)
    programs.asked.clear()
    machine.booted.rmdir()
    assert place.trouble("mymodel") == "systemd does not run here, so nothing starts a pass"
    with pytest.raises(UsageError, match="systemd does not run here") as error:
        place.install(JOB, WORDS, ENVIRONMENT)
    assert "cron does it" in error.value.hint
    place.remove("mymodel")
    assert (list(machine.units.iterdir()), programs.asked) == ([], [])


def test_every_place_is_looked_at(machine: Machine, programs: Programs) -> None:
    scheduler = SystemScheduler(machine)
    changed, notes = scheduler.install(JOB, "crontab")
    assert (changed, notes) == (True, ())
    scheduler.install(JOB, "systemd --user")
    found = scheduler.entries("mymodel")
    assert [entry.kind for entry in found] == ["crontab", "systemd --user"]
    assert scheduler.entries("other") == ()
    for entry in found:
        scheduler.remove(entry)
    assert scheduler.entries("mymodel") == ()


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="there is no program deployctl-nonsense here"):
        run(("deployctl-nonsense",))
