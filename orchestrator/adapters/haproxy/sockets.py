"""The sockets in the proxy's folder `run/`, by which its processes are reached, and their second names.

While a proxy replaces another one, both run, and both listen on `master.sock` in turn: whoever starts puts a new socket
in the place of the old one. So the socket of the old one gets a second name first, a hard link.

| name | leads to |
|---|---|
| `master.sock` | the master process of the proxy |
| `listeners.sock` | its worker, which hands its listening sockets over (`expose-fd listeners`) |
| `previous.sock` | the master process of a proxy that was replaced, or that is about to be |
| `previous-listeners.sock` | its worker: a proxy that starts takes over its listening sockets (see the Dockerfile) |
| `next.sock` | the master process of a proxy that did not replace the other one, until it is `previous.sock` |
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.adapters.haproxy.files import NEW
from orchestrator.errors import ProxyError, StorageError

MASTER, LISTENERS = "master.sock", "listeners.sock"
PREVIOUS, PREVIOUS_LISTENERS = "previous.sock", "previous-listeners.sock"
NEXT = "next.sock"


class Sockets:
    """The folder `run/` of a proxy's folder. No method waits for a process, except `ask` for an answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "run"

    def ask(self, name: str, command: str, timeout: float) -> str:
        """Sends a command to the process behind a socket, and returns its answer. `timeout` in seconds.

        Raises:
            OSError: nothing listens there (ConnectionError, FileNotFoundError), or there is no answer in time.
        """
        # The path of a UNIX socket is limited to 107 bytes, so the folder is addressed by its descriptor.
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout)
                connection.connect(f"/proc/self/fd/{folder}/{name}")
                connection.sendall(command.encode() + b"\n")
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while data := connection.recv(1 << 16):
                    answer += data
        finally:
            os.close(folder)
        return answer.decode(errors="replace")

    def others(self) -> list[str]:
        """The sockets of other proxies than that of `master.sock`. One that has ended leaves its socket behind."""
        known = {self._inode(MASTER)}
        names = []
        for name in (PREVIOUS, NEXT):
            inode = self._inode(name)
            if inode is not None and inode not in known:
                known.add(inode)
                names.append(name)
        return names

    def identity(self) -> tuple[int | None, ...]:
        """Changes whenever a name leads to another socket."""
        return tuple(self._inode(name) for name in (MASTER, PREVIOUS, NEXT))

    # Replacing a proxy

    def replacing(self) -> bool:
        """Whether a replacement has begun and was not completed: whether `begin` was called, and not `end`."""
        return any(self._inode(name) is not None for name in (PREVIOUS, PREVIOUS_LISTENERS, NEXT))

    def begin(self) -> None:
        """Gives the sockets of the running proxy their second names. May be repeated until another one has started.

        Raises:
            ProxyError: the running proxy has no such sockets.
            StorageError: the folder cannot be written.
        """
        for name in (MASTER, LISTENERS):
            if self._inode(name) is None:
                raise ProxyError(
                    "the running proxy cannot hand over its addresses",
                    why=f"its socket {name} does not exist",
                    hint="deployctl recover, then try again",
                )
        self._link(MASTER, PREVIOUS)
        self._link(LISTENERS, PREVIOUS_LISTENERS)

    def taken_over(self) -> bool:
        """Whether another proxy than the previous one listens on `master.sock`, or has done so."""
        return self._inode(MASTER) != self._inode(PREVIOUS)

    def give_back(self) -> None:
        """Lets `master.sock` lead to the previous proxy again, and `next.sock` to the other one. May be repeated."""
        if self._inode(PREVIOUS) is not None and self.taken_over():
            self._link(MASTER, NEXT)
            self._link(PREVIOUS, MASTER)
        if self._inode(PREVIOUS_LISTENERS) is not None and self._inode(LISTENERS) != self._inode(PREVIOUS_LISTENERS):
            self._link(PREVIOUS_LISTENERS, LISTENERS)

    def leave(self) -> None:
        """The other proxy only finishes now: `previous.sock` leads to it, also after `give_back`. May be repeated."""
        if self._inode(NEXT) is not None:
            self._move(NEXT, PREVIOUS)

    def end(self) -> None:
        """Removes all second names."""
        for name in (NEXT, PREVIOUS_LISTENERS, PREVIOUS):
            self._remove(name)

    # Inside

    def _inode(self, name: str) -> int | None:
        try:
            return (self._folder / name).stat(follow_symlinks=False).st_ino
        except FileNotFoundError:
            return None

    def _link(self, name: str, second: str) -> None:
        with _writing(self._folder):
            self._remove(f"{second}{NEW}")
            (self._folder / f"{second}{NEW}").hardlink_to(self._folder / name)
        self._move(f"{second}{NEW}", second)

    def _move(self, name: str, to: str) -> None:
        with _writing(self._folder):
            (self._folder / name).rename(self._folder / to)
            # Renaming one of two links of the same socket to the other one does nothing, and leaves both.
            self._remove(name)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self._folder / name).unlink()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Converts an OSError into a StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be changed", why=error.strerror or str(error), hint="check that the disk is not full"
        ) from error
