"""Schedules for tests: one job, and a machine whose files are in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.adapters.cron.cron import CronFile, Crontab
from orchestrator.adapters.posix.host import LocalHost
from orchestrator.adapters.systemd.timer import Timer
from orchestrator.domain.watch.schedule import Job
from orchestrator.domain.watch.schedule_texts import arguments
from orchestrator.ports.host import Ended
from orchestrator.watch.places import SystemScheduler

JOB = Job("mymodel", "/var/lib/deployctl", "/srv/mymodel/deploy.toml", 60)
WORDS = arguments(("/opt/deployctl/bin/deployctl",), JOB)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root"}
MARKER = (
    '# deployctl-mymodel {"state_dir": "/var/lib/deployctl", "file": "/srv/mymodel/deploy.toml",'
    ' "program": "/opt/deployctl/bin/deployctl"}'
)
COMMAND = "/opt/deployctl/bin/deployctl --state-dir /var/lib/deployctl -f /srv/mymodel/deploy.toml watchdog run"
WRITTEN = "# Written by 'deployctl watchdog install'; 'deployctl watchdog uninstall' removes it."
# All characters that are special in a crontab, a unit file or a shell.
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


class Programs:
    """The commands of `crontab` and `systemctl` that the adapters use."""

    def __init__(self) -> None:
        self.crontab: bytes | None = None
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}

    def run(self, command: Sequence[str], data: bytes = b"") -> Ended:
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
        return Ended(code, out, said.encode())


class Machine(LocalHost):
    """A machine of the user `somebody` whose files are in `folder`, with `Programs` as its programs."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        super().__init__(proc=folder / "proc")
        for name in ("bin", "cron.d", "units", "booted", "proc/1", "proc/17", "proc/self"):
            (folder / name).mkdir(parents=True)
        (folder / "proc/1/comm").write_text("init\n")
        (folder / "proc/17/comm").write_text("cron\n")
        (folder / "bin/crontab").touch(0o755)
        self.account, self.home, self.root = "somebody", str(folder), False
        self.environ = {"PATH": str(folder / "bin")}
        self.folder, self.programs = folder, programs

    def run(self, command: Sequence[str], data: bytes = b"") -> Ended:
        return self.programs.run(command, data)


def system_scheduler(machine: Machine) -> SystemScheduler:
    """The scheduler of a machine, with all places below its folder."""
    booted = machine.folder / "booted"
    places = (
        CronFile(machine, machine.folder / "cron.d"),
        Crontab(machine),
        Timer(machine, own=False, folder=machine.folder / "units", booted=booted),
        Timer(machine, own=True, booted=booted),
    )
    return SystemScheduler(machine, places)
