"""One command at a time: kernel locks, which are released when their process ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import Locked, StorageError
from orchestrator.files import lock

_PROXY_WAIT = 60.0
# Limit of the wait for a pass of the watchdog. It ends within a second unless it repairs something: then it probes a
# container that does not answer, restarts it, and probes it again. Seconds.
_LOOK_WAIT = 20.0
_RETRY_INTERVAL = 0.02
_LOCKS = Path("/proc/locks")


class FileLocks:
    """Lock files in a folder. The files are kept; only a kernel lock on the file of an app locks it. See `Locks`."""

    def __init__(self, folder: Path, *, command: str, now: Callable[[], str]) -> None:
        self._folder = folder
        self._command = command
        self._now = now

    @contextmanager
    def app(self, name: str, *, looking: bool = False) -> Iterator[None]:
        descriptor = self._open(f"{name}.lock")
        limit, refused = time.monotonic() + _LOOK_WAIT, 0
        try:
            while not self._try(name, descriptor):
                other = self._read(descriptor)
                # A holder may not have written its facts yet: give up at the second refusal.
                refused = 0 if other.get("looking") else refused + 1
                if looking or refused > 1 or time.monotonic() > limit:
                    raise self._held(name, other)
                time.sleep(_RETRY_INTERVAL)
            holder = {"command": self._command, "pid": os.getpid(), "since": self._now()}
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps({**holder, **({"looking": True} if looking else {})}).encode(), 0)
            except OSError as error:
                raise self._unusable(name, error) from error
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def proxy(self) -> Iterator[None]:
        descriptor = self._open("proxy")
        try:
            if not self._try("proxy", descriptor, wait=_PROXY_WAIT):
                raise Locked(
                    f"another command has held the proxy's lock for {_PROXY_WAIT:g} s",
                    hint="find the running command: ps -ef | grep deployctl",
                )
            yield
        finally:
            os.close(descriptor)

    def holder(self, name: str) -> dict[str, object] | None:
        # From the kernel's table: trying the lock would make another command fail at that moment.
        try:
            inode = (self._folder / f"{name}.lock").stat().st_ino
            locks = _LOCKS.read_text()
        except FileNotFoundError:
            return None
        # 1: FLOCK  ADVISORY  WRITE 4711 08:01:123456 0 EOF
        rows = [line.split() for line in locks.splitlines()]
        if not any(row[1] == "FLOCK" and row[5].rpartition(":")[2] == str(inode) for row in rows if len(row) > 5):
            return None
        descriptor = self._open(f"{name}.lock")
        try:
            return self._read(descriptor)
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(name, error) from error

    def _try(self, name: str, descriptor: int, *, wait: float = 0.0) -> bool:
        try:
            return lock(descriptor, wait=wait)
        except OSError as error:
            raise self._unusable(name, error) from error

    def _unusable(self, name: str, error: OSError) -> StorageError:
        return StorageError(
            f"the lock file {self._folder / name} cannot be used",
            why=error.strerror or str(error),
            hint="check the owner of the file, and that the disk is neither full nor read-only; nothing was changed",
        )

    def _held(self, name: str, holder: dict[str, object]) -> Locked:
        return Locked(
            f"app {name} is locked by another command",
            why=f"'{holder.get('command', 'unknown')}', pid {holder.get('pid', '?')}, since {holder.get('since', '?')}",
            hint="try again when it has ended",
        )

    @staticmethod
    def _read(descriptor: int) -> dict[str, object]:
        try:
            holder = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
        except ValueError:
            # The holder is writing its facts at this moment.
            return {}
        return holder if isinstance(holder, dict) else {}
