"""Files: atomic writes, bounded reads and kernel locks.

Some of these files are in folders that other users may write to. So no file is created under a name that somebody else
can know in advance, no link is followed where a file is created, and nothing waits for the other end of a pipe.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp"
SMALL = 1024 * 1024
"""The largest file that `read_small` reads, in bytes."""
FOREVER = math.inf
# How long `lock` sleeps between two attempts, in seconds.
_RETRY_INTERVAL = 0.01
# The random part of the name of a temporary file, in bytes.
_RANDOM = 8


class NotRegular(OSError):
    """A device, a pipe or a socket, where a regular file is needed."""


class TooLarge(OSError):
    """The file has more than `SMALL` bytes."""


# --- atomic writes ---------------------------------------------------------------------------------------------------


def write_atomic(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Writes a file by temporary file, fsync, rename and fsync of the folder.

    The file gets `mode` regardless of the umask; without `mode`, 0644 reduced by the umask. A link at `path` is
    replaced, not followed. A crash can leave a temporary file: see `left_over`.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` is unchanged.
    """
    temporary = _temporary(path)
    descriptor = create(temporary, mode or 0o644)
    try:
        try:
            if mode is not None:
                os.fchmod(descriptor, mode)
            data = content.encode() if isinstance(content, str) else content
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create(path: Path, mode: int = 0o600) -> int:
    """Creates a file that does not exist yet, and opens it to write; returns the descriptor.

    Raises:
        OSError: there is something of this name, even a link to nothing, or the folder cannot be written.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def left_over(path: Path) -> Iterator[Path]:
    """The temporary files of this file that a crash of `write_atomic` has left. Only for a file with one writer."""
    start = _start(path)
    for other in path.parent.glob(f".*{TEMPORARY}"):
        if other.name.startswith(start) and len(other.name) == len(start) + 2 * _RANDOM + len(TEMPORARY):
            yield other


def _temporary(path: Path) -> Path:
    return path.with_name(f"{_start(path)}{os.urandom(_RANDOM).hex()}{TEMPORARY}")


def _start(path: Path) -> str:
    # The first dot hides the file from cron, and from programs that read all files of a folder. Shortened, because the
    # name of a file has at most 255 bytes.
    return f".{os.fsdecode(os.fsencode(path.name)[:200])}."


def sync_folder(folder: Path) -> None:
    """Writes a folder to the disk (fsync), so that renames and links in it survive a power failure.

    Raises:
        OSError: it does not exist, or cannot be written.
    """
    descriptor = open_folder(folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_whole(folder: Path) -> bool:
    """Removes a folder. It is renamed first, so that a partly removed one never has its name.

    False: it cannot be renamed, or does not exist. A crash can leave a folder whose name begins with a dot and ends
    with `TEMPORARY`.
    """
    doomed = folder.with_name(f".{folder.name}.old{TEMPORARY}")
    shutil.rmtree(doomed, ignore_errors=True)
    try:
        folder.rename(doomed)
    except OSError:
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    return True


# --- bounded reads ---------------------------------------------------------------------------------------------------


def read_small(path: Path) -> bytes:
    """The content of a regular file of at most `SMALL` bytes. Does not block, even if the path is a pipe.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        NotRegular: it is a device, a pipe or a socket.
        TooLarge: it has more than `SMALL` bytes.
        OSError: it cannot be read; `strerror` says why.
    """
    descriptor = open_regular(path)
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(SMALL + 1)
    finally:
        os.close(descriptor)
    if len(data) > SMALL:
        raise TooLarge(errno.EFBIG, "larger than 1 MiB", str(path))
    return data


def read_regular(path: Path) -> bytes:
    """The content of a regular file of any size. Does not block, even if the path is a pipe.

    Raises:
        As `open_regular`.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def open_regular(path: Path) -> int:
    """Opens a regular file to read; returns the descriptor. Does not block, even if the path is a pipe.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        NotRegular: it is a device, a pipe or a socket.
        OSError: it cannot be read; `strerror` says why.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError:  # a NUL, or a character that file names cannot have
        raise OSError(errno.EINVAL, "invalid path", str(path)) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise NotRegular(errno.EINVAL, "not a regular file", str(path))


# --- locks -----------------------------------------------------------------------------------------------------------


def open_folder(folder: Path) -> int:
    """Opens a folder, to sync or to lock it; returns the descriptor.

    Raises:
        OSError: it does not exist, or is not a folder.
    """
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def lock(descriptor: int, *, shared: bool = False, wait: float = 0.0) -> bool:
    """Takes the kernel's lock (flock) on an open file or folder; False when it is not free within `wait` seconds.

    The lock ends when the descriptor is closed, at the latest with the process. `FOREVER` waits without a limit.

    Raises:
        OSError: the file system does not support locks.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    if wait == FOREVER:
        fcntl.flock(descriptor, kind)
        return True
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        time.sleep(_RETRY_INTERVAL)
