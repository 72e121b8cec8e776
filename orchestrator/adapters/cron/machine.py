"""Where a machine keeps its schedules, and how its programs are asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.files import write_atomic

_CRONS = frozenset({"cron", "crond", "fcron", "systemd-cron"})
_LIMIT = 30.0
Run = Callable[[Sequence[str], bytes], "subprocess.CompletedProcess[bytes]"]


def run(command: Sequence[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a program of the machine, in plain English.

    Raises:
        UsageError: it is not there, or does not end.
    """
    # Some crontabs would print the warning of their header, and take it for an entry when it comes back.
    environment = {**os.environ, "LC_ALL": "C", "CRONTAB_NOHEADER": "Y"}
    try:
        return subprocess.run(command, input=data, env=environment, capture_output=True, timeout=_LIMIT, check=False)
    except FileNotFoundError:
        raise UsageError(f"there is no program {command[0]} here") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"'{' '.join(command)}' did not work", why=str(error)) from None


@dataclass(frozen=True)
class Machine:
    """This machine, or in tests a folder that looks like one."""

    user: str
    home: str
    root: bool
    cron_d: Path = Path("/etc/cron.d")
    units: Path = Path("/etc/systemd/system")
    booted: Path = Path("/run/systemd/system")
    processes: Path = Path("/proc")
    run: Run = run
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def user_units(self) -> Path:
        """The folder of this user's own units."""
        own = self.environ.get("XDG_CONFIG_HOME", "")
        return (Path(own) if own.startswith("/") else Path(self.home) / ".config") / "systemd" / "user"

    def cron_program(self) -> str | None:
        """The path of the program crontab; None when there is none."""
        return shutil.which("crontab", path=self.environ.get("PATH"))

    def cron_runs(self) -> bool:
        """Whether there is a process of cron's."""
        for folder in self.processes.iterdir():
            if folder.name.isdigit():
                try:
                    if (folder / "comm").read_text().strip() in _CRONS:
                        return True
                except OSError:  # it has ended meanwhile
                    continue
        return False


def read(path: Path) -> str | None:
    """A file's text; None when there is none.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=str(error.strerror)) from error


def write(path: Path, text: str) -> None:
    """Writes a file that everybody may read.

    Raises:
        UsageError: it cannot be written; it is as it was.
    """
    try:
        write_atomic(path, text)
        path.chmod(0o644)  # whatever the umask was
    except OSError as error:
        hint = "be root, or use --user" if isinstance(error, PermissionError) else ""
        raise UsageError(f"{path} cannot be written", why=str(error.strerror), hint=hint) from error


def remove(path: Path) -> None:
    """Removes a file, if it is there.

    Raises:
        UsageError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        hint = "be root" if isinstance(error, PermissionError) else ""
        raise UsageError(f"{path} cannot be removed", why=str(error.strerror), hint=hint) from error
