"""Files that are either the old one or the new one, whatever happens in between."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TEMPORARY = ".tmp"


def write_atomic(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Writes by temporary file, fsync, rename and fsync of the folder.

    The temporary name is fixed: what a crash leaves behind, the next write takes over. The file gets `mode`, whatever
    the umask says; without one, what the umask leaves of 0644.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` is as it was.
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
    """Brings the names in a folder onto the disk: what was renamed or linked in it is so after a power cut as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_whole(folder: Path) -> bool:
    """Removes a folder: at once by name, so that no half of one is ever taken for it. False: it stays, or is not there.

    What a crash leaves of it has a name that begins with a dot and ends with `TEMPORARY`.
    """
    doomed = folder.with_name(f".{folder.name}.old{TEMPORARY}")
    shutil.rmtree(doomed, ignore_errors=True)
    try:
        folder.rename(doomed)
    except OSError:
        return False
    shutil.rmtree(doomed, ignore_errors=True)
    return True
