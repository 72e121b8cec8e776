"""Files: atomic writes, bounded reads and kernel locks."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import shutil
import stat
import time
from pathlib import Path

TEMPORARY = ".tmp"
SMALL = 1024 * 1024
"""The largest file that `read_small` reads, in bytes."""
FOREVER = math.inf
# How long `lock` sleeps between two attempts, in seconds.
_RETRY_INTERVAL = 0.01


class NotRegular(OSError):
    """A device, a pipe or a socket, where a regular file is needed."""


class TooLarge(OSError):
    """The file has more than `SMALL` bytes."""


# --- atomic writes ---------------------------------------------------------------------------------------------------


def write_atomic(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Writes a file by temporary file, fsync, rename and fsync of the folder.

    The temporary file always has the same name, so the next write replaces one that a crash has left. The file gets
    `mode` regardless of the umask; without `mode`, 0644 reduced by the umask.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` is unchanged.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode or 0o644)
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
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:  # a NUL, or a character that file names cannot have
        raise OSError(errno.EINVAL, "invalid path", str(path)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise NotRegular(errno.EINVAL, "not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(SMALL + 1)
    finally:
        os.close(descriptor)
    if len(data) > SMALL:
        raise TooLarge(errno.EFBIG, "larger than 1 MiB", str(path))
    return data


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
