"""This machine and this user: environment, programs and files. See `Host` and `Machine`."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.posix.ownership import writers
from orchestrator.errors import HostError
from orchestrator.files import read_small, write_atomic
from orchestrator.ports.host import Ended, HostMemory

if TYPE_CHECKING:
    from orchestrator.domain.rollout.gpu_fit import Gpus

# Time limit of a program. Seconds.
_LIMIT = 30.0


class LocalHost:
    """The machine and the user of this process. `proc` and `groups` are the folders of processes and control groups."""

    def __init__(self, *, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc, self._groups = proc, groups
        try:
            known = pwd.getpwuid(os.geteuid())
            self.account, home = known.pw_name, known.pw_dir
        except KeyError:  # a user id without a name
            self.account, home = str(os.geteuid()), "/"
        given = os.environ.get("HOME", "")
        self.home = given if given.startswith("/") else home
        self.root = os.geteuid() == 0
        self.environ: Mapping[str, str] = os.environ

    def user(self) -> str:
        try:
            return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return f"uid {os.getuid()}"

    def hostname(self) -> str:
        return socket.gethostname()

    def writers(self, path: Path) -> str | None:
        try:
            return writers(path)
        except OSError as error:
            return f"{path} cannot be checked: {error.strerror}"

    # Every command imports this module, and only releases ask for the following.

    def memory(self) -> HostMemory | None:
        from orchestrator.adapters.posix import capacity

        return capacity.memory(self._proc)

    def memory_of(self, container: str, pid: int) -> int | None:
        from orchestrator.adapters.posix import capacity

        return capacity.memory_of(self._proc, self._groups, container, pid)

    def gpus(self, containers: Collection[str]) -> Gpus:
        from orchestrator.adapters.posix import capacity

        return capacity.gpus(self._proc, self.environ.get("PATH"), containers)

    def which(self, program: str) -> str | None:
        return shutil.which(program, path=self.environ.get("PATH"))

    def executable(self, path: Path) -> bool:
        return path.is_file() and os.access(path, os.X_OK)

    def running(self, names: frozenset[str]) -> bool:
        for folder in self._proc.iterdir():
            if folder.name.isdigit():
                try:
                    if (folder / "comm").read_text().strip() in names:
                        return True
                except OSError:  # the process has ended
                    continue
        return False

    def run(self, command: Sequence[str], data: bytes = b"") -> Ended:
        # Some versions of crontab print a header, which would become an entry when it is written back.
        environment = {**os.environ, "LC_ALL": "C", "CRONTAB_NOHEADER": "Y"}
        try:
            done = subprocess.run(
                command, input=data, env=environment, capture_output=True, timeout=_LIMIT, check=False
            )
        except FileNotFoundError:
            raise HostError(f"there is no program {command[0]}", hint="install it, or add it to PATH") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"'{' '.join(command)}' failed", why=str(error)) from None
        return Ended(done.returncode, done.stdout, done.stderr)

    def read(self, path: Path) -> str | None:
        try:
            return read_small(path).decode(errors="surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(f"{path} cannot be read", why=str(error.strerror)) from error

    def write(self, path: Path, text: str) -> None:
        try:
            write_atomic(path, text, mode=0o644)
        except OSError as error:
            hint = "run the command as root, or use --user" if isinstance(error, PermissionError) else ""
            raise HostError(f"{path} cannot be written", why=str(error.strerror), hint=hint) from error

    def remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            hint = "run the command as root" if isinstance(error, PermissionError) else ""
            raise HostError(f"{path} cannot be removed", why=str(error.strerror), hint=hint) from error
