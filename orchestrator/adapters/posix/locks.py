"""One command at a time: `flock`, which the kernel frees when its process dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import DeploymentFailed, Locked, OperationFailed

_PROXY_WAIT = 60.0
# A look is over in a second, unless it finds work to do.
_LOOK_WAIT = 10.0
_AGAIN = 0.02
_LOCKS = Path("/proc/locks")


class FileLocks:
    """Lock files in the state folder. They stay there: only the kernel's lock on them means anything."""

    def __init__(self, folder: Path, *, command: str, now: Callable[[], str]) -> None:
        self._folder = folder
        self._command = command
        self._now = now

    @contextmanager
    def app(self, name: str, *, looking: bool = False) -> Iterator[None]:
        """Holds an app's lock. With `looking` it is held for a look: other commands wait for its end, looks do not.

        Raises:
            Locked: another command has it; the error says which one, its pid and since when.
        """
        descriptor = self._open(f"{name}.lock")
        limit, refused = time.monotonic() + _LOOK_WAIT, 0
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    found = self._read(descriptor)
                    # One that has taken it just now may not have written its name yet: the second answer counts.
                    refused = 0 if found.get("looking") else refused + 1
                    if looking or refused > 1 or time.monotonic() > limit:
                        raise self._held(name, found) from None
                    time.sleep(_AGAIN)
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
        """Holds the proxy's lock: several apps share one proxy, and each change to it is short.

        Raises:
            Locked: not free within a minute.
        """
        descriptor = self._open("proxy")
        limit = time.monotonic() + _PROXY_WAIT
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise Locked(
                            f"the proxy has been busy for {_PROXY_WAIT:g} s",
                            hint="ps tells which deployctl runs",
                        ) from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def holder(self, name: str) -> dict[str, object] | None:
        """Who holds an app's lock now; None when nobody does.

        It looks at the kernel's table: to try the lock would refuse it to somebody else for that moment.
        """
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
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(name, error) from error

    def _unusable(self, name: str, error: OSError) -> OperationFailed:
        return DeploymentFailed(
            f"the lock {self._folder / name} cannot be taken",
            why=error.strerror or str(error),
            hint="is the disk full, read-only, or somebody else's? nothing was changed",
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
            found = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
        except ValueError:
            # The holder is writing its name at this very moment.
            return {}
        return found if isinstance(found, dict) else {}
